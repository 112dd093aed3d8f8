"""Parsing shared by verbs, exit codes and the count of skipped files."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from openbind.cli.main import VERBS
from openbind.cli.verb import (
    check_device,
    comma_separated,
    compute_options,
    parse_weights,
    positive,
    report_failures,
)
from openbind.embedding.many import Failure
from openbind.errors import InputError


def test_weights() -> None:
    """MODALITY=NUMBER, possibly negative; anything else is an error."""
    assert parse_weights(["image=0.3", "text=-1"]) == {"image": 0.3, "text": -1.0}
    with pytest.raises(InputError, match="expected MODALITY=NUMBER"):
        parse_weights(["image"])
    for weight in ("image=nan", "image=inf", "image=1e999"):
        with pytest.raises(InputError, match="expected MODALITY=NUMBER"):
            parse_weights([weight])
    with pytest.raises(InputError, match="no modality named 'smell'"):
        parse_weights(["smell=1"])


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
    assert report_failures(failures, done, strict) == code
    err = capsys.readouterr().err
    assert err.count("skipped") == (failed + 1 if failed else 0)
