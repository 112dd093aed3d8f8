"""Honest requests beside bombs: none fails, none waits for long, and the service ends when told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "soak.py"
SECONDS = 12
FACTOR = 20
"""Tests run beside others; `benchmarks/soak.py` by itself expects 3."""


@pytest.mark.slow
def test_soak() -> None:
    """Nothing fails, health checks are quick, memory stays, and the service ends."""
    command = [sys.executable, str(SCRIPT), "--seconds", str(SECONDS), "--json"]
    command += ["--factor", str(FACTOR)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["wrong"] == []
