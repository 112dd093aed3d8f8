"""The benchmark of moments: it finds what it hides, and long recordings need no more memory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "moments.py"
LINE = re.compile(r"(\d+) min +([\d.]+) s – *([\d.]+) s +(\d+) s +(\d+) MB above")


MINUTE_MB = 60 * 48_000 * 4 / 2**20
"""Samples of a minute, as float32."""
EXACT = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
"""glibc returns what is freed at once: memory is what is in use, whatever its version keeps."""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's accounts of memory")
def test_memory_is_bounded() -> None:
    """Six minutes need hardly more than one: less than half of their samples alone would take."""
    command = [sys.executable, str(SCRIPT), "--minutes", "1", "6"]
    environment = {**os.environ, **EXACT}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found = LINE.findall(done.stdout)
    assert [row[0] for row in found] == ["1", "6"]
    hidden = 4 * 60
    assert hidden - 2 < float(found[1][1]) < float(found[1][2]) < hidden + 12
    assert int(found[1][4]) - int(found[0][4]) < 5 * MINUTE_MB / 2
