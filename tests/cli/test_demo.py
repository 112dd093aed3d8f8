"""`openbind demo`: prints what the page shows, and the page stands alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

Run = Callable[..., tuple[int, str, str]]


def test_demo(run: Run, tmp_path: Path) -> None:
    """All directions with recall and chance, sums, zero-shot accuracy above chance, a page."""
    page = tmp_path / "demo" / "index.html"
    code, out, _ = run("demo", "-o", page)
    assert code == 0
    for direction in ("text → image", "text → audio", "audio → image", "image → audio"):
        found = re.search(rf"{direction} .*recall@5 ([\d.]+), chance ([\d.]+)", out)
        assert found, direction
        assert float(found[1]) > float(found[2])
    found = re.search(r"emergent\): accuracy ([\d.]+), chance ([\d.]+)", out)
    assert found
    assert float(found[1]) > 3 * float(found[2])
    assert "the sound of birds" in out
    assert "On data kept out of it:" in out
    assert page.stat().st_size > 1e6
