"""Standard error without the messages of libraries."""

from __future__ import annotations

import os
import subprocess
import sys

CODE = """
import os, subprocess, sys
from openbind.cli.noise import without_noise
with without_noise():
    os.write(2, b"Note: Illegal Audio-MPEG-Header 0x66616374\\n[src/libmpg123/x.c] no\\n")
    os.write(2, b"free(): invalid pointer\\n")
    print("a message", file=sys.stderr)
    subprocess.run([sys.executable, "-c", "import os; os.write(2, b'Note: Trying\\\\nof a child')"])
print("after", file=sys.stderr)
os.write(2, b"Note: by itself\\n")
"""


def test_lines_of_libraries() -> None:
    """Known lines are left out, all others are there, and afterwards nothing is changed."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    first, last = done.stderr.split("after\n")
    assert last == "Note: by itself\n"
    for line in ("free(): invalid pointer", "a message", "of a child"):
        assert line in first
    assert "Note" not in first
    assert "mpg123" not in first


def test_last_words() -> None:
    """What a process writes before it aborts is there."""
    code = "import os; from openbind.cli.noise import without_noise\nwith without_noise():\n"
    code += " os.write(2, b'terminate called'); os.abort()"
    plain = {k: v for k, v in os.environ.items() if k != "PYTHONFAULTHANDLER"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=plain)
    assert done.returncode < 0
    assert done.stderr == "terminate called"
