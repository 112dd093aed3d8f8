"""Short commands change how their process works, not what it prints or its exit code."""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys

import pytest

from openbind.cli.main import VERBS, main
from openbind.cli.short import WAITING

CODE = """
import atexit, gc, os, sys
from openbind.cli.short import ShortCommand
short = ShortCommand()
short.begin()
atexit.register(print, gc.get_threshold()[0] > 100_000, os.environ["OMP_WAIT_POLICY"], end="")
if sys.argv[1] != "fail":
    short.end(int(sys.argv[1]))
sys.exit(sys.argv[1] == "fail" or int(sys.argv[1]))
"""


@pytest.mark.parametrize(("given", "code"), [("0", 0), ("1", 1), ("130", 130), ("fail", 1)])
def test_exit(given: str, code: int) -> None:
    """The code is kept, what is registered for the exit runs, and what was printed is there."""
    plain = {name: value for name, value in os.environ.items() if name != WAITING}
    command = [sys.executable, "-c", CODE, given]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=plain)
    assert (done.returncode, done.stdout, done.stderr) == (code, "True PASSIVE", "")


def test_own_setting() -> None:
    """A user's own choice of how threads wait is kept."""
    own = {**os.environ, WAITING: "ACTIVE"}
    command = [sys.executable, "-c", CODE, "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=own)
    assert done.stdout == "True ACTIVE"


def test_which_are_short(capsys: pytest.CaptureFixture[str]) -> None:
    """Those on a few items; called from Python, they change nothing of the process."""
    for name, given, expected in (
        ("compare", ["--text", "a"], True),
        ("search", ["--index", "folder", "--text", "a"], True),
        ("search", ["folder", "--text", "a"], False),
        ("embed", ["folder", "-o", "x.npz"], False),
    ):
        verb, parser = VERBS.get(name), argparse.ArgumentParser()
        verb.add_arguments(parser)
        assert verb.is_short(parser.parse_args(given)) is expected
    before = gc.get_threshold(), os.environ.get(WAITING)
    assert main(["compare", "--text", "a"]) == 1
    assert (gc.get_threshold(), os.environ.get(WAITING)) == before
    assert "at least two items" in capsys.readouterr().err
