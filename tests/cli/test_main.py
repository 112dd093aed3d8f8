"""The command line as people use it: results on stdout, the rest on stderr, honest exit codes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from openbind import __version__
from openbind.cli.main import SUMMARIES, VERBS, main

Run = Callable[..., tuple[int, str, str]]


def test_every_verb_has_a_summary_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    """`openbind --help` lists every verb; each verb has a help of its own."""
    assert list(SUMMARIES) == list(VERBS.names())
    for verb in VERBS.names():
        with pytest.raises(SystemExit) as stop:
            main([verb, "--help"])
        assert stop.value.code == 0
        assert verb in capsys.readouterr().out


def test_wrong_command_lines(run: Run) -> None:
    """No verb and an unknown verb exit with 2 and say what there is."""
    assert run()[0] == 2
    code, out, err = run("serch")
    assert (code, out) == (2, "")
    assert "did you mean 'search'" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("search", "nowhere-at-all", "--text", "x"),
        ("search", ".", "--image", "missing.jpg"),
        ("search", ".", "-k", "0", "--text", "x"),
        ("search", ".", "--text", "x", "--weight", "text=much"),
        ("search", "."),
        ("classify", "x.wav", "--labels", "one"),
        ("classify", "x.xyz", "--labels", "a,b"),
        ("compare", "--text", "a", "--image", "missing.jpg"),
        ("search", ".", "--text", "x", "--space", "startr"),
    ],
)
def test_errors_are_one_line(run: Run, arguments: tuple[str, ...]) -> None:
    """What can't be done exits with 1, nothing on stdout, no traceback."""
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith(f"openbind {arguments[0]}: ")
    assert len(err.splitlines()) == 1


def test_program_runs_as_a_process() -> None:
    """`python -m openbind` works and exits quietly when its reader goes away."""
    done = subprocess.run(
        [sys.executable, "-m", "openbind", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"openbind {__version__}"
