"""Ctrl-C waits for an import, and for nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SLOW = """
import os, signal, time
os.kill(os.getpid(), signal.SIGINT)
try:
    time.sleep(0.3)
except KeyboardInterrupt:
    print("interrupted an import")
print("imported", flush=True)
"""
CODE = """
import os, signal, time
from openbind.cli.interrupts import defer_interrupts
defer_interrupts()
try:
    import slow
    time.sleep(20)
except KeyboardInterrupt:
    print("interrupted", flush=True)
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(20)
except KeyboardInterrupt:
    print("again")
"""


def test_an_import_ends_first(tmp_path: Path) -> None:
    """The import is completed, what follows is interrupted, and so is code without an import."""
    (tmp_path / "slow.py").write_text(SLOW)
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=15)
    assert done.stdout.splitlines() == ["imported", "interrupted", "again"], done.stderr
