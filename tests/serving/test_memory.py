"""Free memory is returned to the system where the C library can do it."""

from __future__ import annotations

import asyncio
import ctypes
import re
import subprocess
import sys

import pytest

from openbind.serving import memory

HOLES = """
import re, sys
from pathlib import Path
import numpy as np
from openbind.model.memory import release_free
from openbind.serving.memory import limit_arenas
def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
assert limit_arenas()
blocks = [np.ones(8000) for _ in range(4000)]
last = np.ones(8000)
full = resident()
del blocks
assert release_free()
print(full - resident())
"""
HAS_GLIBC = sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "malloc_trim")


@pytest.mark.slow
@pytest.mark.skipif(not HAS_GLIBC, reason="another C library")
def test_holes_are_returned() -> None:
    """256 MB of small freed arrays leave the process although the last one is still in use."""
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=True)
    assert int(re.findall(r"\d+", done.stdout)[0]) > 200


def test_other_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """With other C libraries nothing happens, and nothing fails."""
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not memory.limit_arenas()
    assert not memory.release_free()


def test_keep_releasing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is released periodically until cancelled."""
    monkeypatch.setattr(memory, "RELEASE_SECONDS", 0.01)
    times: list[bool] = []
    monkeypatch.setattr(memory, "release_free", lambda: times.append(True))

    async def run() -> None:
        task = asyncio.create_task(memory.keep_releasing())
        while len(times) < 3:
            await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(run())
