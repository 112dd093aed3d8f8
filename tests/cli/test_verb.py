"""Parsing shared by verbs, exit codes and the count of skipped files."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

import openbind
from openbind.cli.main import VERBS
from openbind.cli.verb import (
    check_device,
    comma_separated,
    compute_options,
    exit_code,
    positive,
    report_failures,
    type_overrides,
    with_settings,
)
from openbind.embedding.many import Failure
from openbind.embedding.scan import Summary
from openbind.errors import InputError


def test_counts() -> None:
    """Integers of at least 1."""
    assert positive("20") == 20
    for text in ("0", "-1", "1.0", "", "²", "٣"):
        with pytest.raises(argparse.ArgumentTypeError):
            positive(text)


def test_lists() -> None:
    """Comma-separated; spaces and empty parts don't count."""
    assert comma_separated("image, text,,") == ("image", "text")
    assert comma_separated("") == ()


@pytest.mark.parametrize("verb", ["search", "embed", "index create", "index update"])
def test_verbs_that_embed_share_options(verb: str) -> None:
    """Where and how to compute is chosen in the same way everywhere."""
    name, *action = verb.split()
    parser = argparse.ArgumentParser()
    VERBS.get(name).add_arguments(parser)
    paths = ["x", "-o", "y.npz"] if name == "embed" else ["x"]
    options = ["--device", "cpu", "--dtype", "float32", "--batch-size", "3", "--workers", "2"]
    found = parser.parse_args([*action, *paths, *options])
    assert (found.device, found.dtype) == ("cpu", "float32")
    assert compute_options(found) == {"batch_size": 3, "workers": 2}


def test_devices() -> None:
    """One that doesn't exist is named."""
    check_device("auto")
    with pytest.raises(InputError, match="--device tpu9"):
        check_device("tpu9")


@pytest.mark.parametrize(
    ("failed", "done", "strict", "code"),
    [
        (0, 3, False, 0),
        (0, 3, True, 0),
        (2, 3, False, 0),
        (2, 3, True, 1),
        (2, 0, False, 1),
    ],
)
def test_exit_codes(
    capsys: pytest.CaptureFixture[str], failed: int, done: int, strict: bool, code: int
) -> None:
    """Skipped files fail a strict run; a run that embedded nothing always fails."""
    failures = [Failure(Path(f"{i}.png"), "broken") for i in range(failed)]
    assert exit_code(failures, done, strict) == code
    report_failures(failures, Summary(skipped={"failed to decode": failed} if failed else {}))
    err = capsys.readouterr().err
    assert err.count("skipped") == (failed + 1 if failed else 0)


def test_names_do_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters, line ends and marks of direction in a name are escaped."""
    failure = Failure(Path("a\x1b[2J\n1  +0.999  fake\u202egpj.exe\udcff"), "a\rb")
    report_failures([failure], Summary())
    line, _ = capsys.readouterr().err.splitlines()
    assert r"a\x1b[2J\n1  +0.999  fake\u202egpj.exe\udcff: a\rb" in line


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("depth=scans/*", {"scans/*": "depth"}),
        ("depth(units=5000)=a=b/*", {"a=b/*": "depth(units=5000)"}),
        ("depth(units=5000)", {"*": "depth(units=5000)"}),
    ],
)
def test_types(given: str, found: dict[str, str]) -> None:
    """A modality, settings in parentheses, and a pattern; without one, all files."""
    assert type_overrides(argparse.Namespace(type_overrides=[given]), patterns=False) == found


@pytest.mark.parametrize("given", ["", "=x", "depth(", "depth(units=1=x", "depth="])
def test_malformed_types(given: str) -> None:
    """They are refused; where a pattern is needed, those without one too."""
    with pytest.raises(InputError):
        type_overrides(argparse.Namespace(type_overrides=[given]), patterns=False)
    with pytest.raises(InputError):
        type_overrides(argparse.Namespace(type_overrides=["depth"]), patterns=True)


def test_settings_of_a_space(starter: openbind.Space) -> None:
    """`--set` changes the preprocessing of a modality; wrong names and values are refused."""
    options = argparse.Namespace(settings=["depth.units=5000", "audio.clips=cover"])
    changed = with_settings(starter, options).config.modalities
    assert changed["depth"].settings.units == 5000
    assert changed["audio"].settings.clips == "cover"
    for given in ("depth", "depth.units", "depth.unit=3", "smell.units=3", "depth.units=-3"):
        with pytest.raises(openbind.OpenbindError):
            with_settings(starter, argparse.Namespace(settings=[given]))
