"""The benchmark of moments: it finds what it hides, and long recordings need no more memory."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "moments.py"
LINE = re.compile(r"(\d+) min +([\d.]+) s – *([\d.]+) s +(\d+) s +(\d+) MB above")


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's accounts of memory")
def test_memory_is_bounded() -> None:
    """Ten minutes need little more than one: less than their samples alone would take."""
    command = [sys.executable, str(SCRIPT), "--minutes", "1", "10"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = LINE.findall(done.stdout)
    assert [row[0] for row in found] == ["1", "10"]
    hidden = 7 * 60
    assert hidden - 2 < float(found[1][1]) < float(found[1][2]) < hidden + 12
    assert int(found[1][4]) - int(found[0][4]) < 100
