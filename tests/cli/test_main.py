"""Results go to stdout, messages to stderr, failure to the exit code."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from openbind import __version__
from openbind.cli.main import VERBS, main
from openbind.cli.verb import Verb

Run = Callable[..., tuple[int, str, str]]


def test_every_verb_has_a_summary_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    """`openbind --help` shows each verb's first sentence; each verb has a help of its own."""
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = " ".join(capsys.readouterr().out.split())
    for verb in VERBS.names():
        assert VERBS.get(verb).description.partition(". ")[0].removesuffix(".") in listed
        with pytest.raises(SystemExit) as stop:
            main([verb, "--help"])
        assert stop.value.code == 0
        assert verb in capsys.readouterr().out


def test_plug_in_verbs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A verb of another package has its summary in the help too; a broken one says so."""
    added = Verb("Sort files by color. Much more.", lambda parser: None, lambda arguments: 7)
    monkeypatch.setitem(VERBS.added, "sort", added)
    monkeypatch.setitem(VERBS.table, "broken", "no_such_module:VERB")
    assert main([]) == 2
    shown = capsys.readouterr().err
    assert "sort       Sort files by color\n" in shown
    assert "no_such_module" in shown
    assert main(["sort"]) == 7


def test_wrong_command_lines(run: Run) -> None:
    """No verb and an unknown verb exit with 2 and list the verbs."""
    assert run()[0] == 2
    code, out, err = run("serch")
    assert (code, out) == (2, "")
    assert "did you mean 'search'" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("search", "nowhere-at-all", "--text", "x"),
        ("search", ".", "--image", "missing.jpg"),
        ("search", ".", "--text", "x", "--weight", "much"),
        ("search", ".", "--text", "x", "--weight", "nan"),
        ("search", ".", "--text", "x", "--weight", "0"),
        ("search", ".", "--text", "x", "--weight", "text=0.5"),
        ("search", ".", "--weight", "2", "--text", "x"),
        ("search", ".", "--text", "x", "--weight", "2", "--weight", "3"),
        ("search", ".", "--text", "x", "--minus", "x"),
        ("search", ".", "--text", "x", "--weight", "1e400"),
        ("search", ".", "--text", ""),
        ("search", ".", "--text", "\udcff"),
        ("search", ".", "--text", "x", "--modalities", "smell"),
        ("search", ".", "--text", "x", "--device", "tpu9"),
        ("search", "."),
        ("classify", "x.wav", "--labels", "one"),
        ("classify", "x.xyz", "--labels", "a,b"),
        ("classify", "x.wav", "--labels", "a,b", "--template", "a {place}"),
        ("classify", "x.wav", "--labels", "a,b", "--template", "a {} {}"),
        ("compare", "--text", "a"),
        ("index", "info", "nowhere"),
        ("index", "create", "nowhere"),
        ("embed", "nowhere", "-o", "x.npz"),
        ("embed", "nowhere", "-o", "x.csv"),
        ("convert", "nowhere", "-o", "x"),
        ("evaluate", "starter", "--suite", "smells", "--data", "."),
        ("compare", "--text", "a", "--image", "missing.jpg"),
        ("search", ".", "--text", "x", "--space", "startr"),
    ],
)
def test_errors_are_one_line(run: Run, arguments: tuple[str, ...]) -> None:
    """Mistakes exit with 1 and one line on stderr, without a traceback."""
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith(f"openbind {arguments[0]}: ")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("count", ["0", "-3", "x", "1.5"])
def test_counts_are_parsed(run: Run, count: str) -> None:
    """A number of results below 1 is a wrong command line."""
    with pytest.raises(SystemExit) as stop:
        run("search", ".", "--text", "x", "--top-k", count)
    assert stop.value.code == 2


def test_templates_with_other_braces(run: Run, media: Path) -> None:
    """Braces that don't stand for the label never reach a format string."""
    image = next(media.glob("dog.[!o]*"))
    code, out, err = run("classify", image, "--labels", "dog,rain", "--template", "a {} in {place}")
    assert (code, out, len(err.splitlines())) == (1, "", 1)


def test_program_runs_as_a_process() -> None:
    """`python -m openbind` works as the program does."""
    done = subprocess.run(
        [sys.executable, "-m", "openbind", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"openbind {__version__}"
