"""Sounds that only met images are found by words; without true pairs they aren't."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PATH = Path(__file__).parents[2] / "recipes" / "emergence" / "emergence.py"


def test_emergence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Far above chance when bound, at chance when shuffled or untrained."""
    monkeypatch.setenv("OPENBIND_CACHE", str(tmp_path / "cache"))
    spec = importlib.util.spec_from_file_location("emergence", PATH)
    assert spec is not None
    assert spec.loader is not None
    emergence = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(emergence)
    sounds = emergence.find_sounds(None)
    assert len(sounds) == 11
    numbers = emergence.show_emergence(tmp_path, sounds, 2, {"schedule.steps": "150"})
    assert numbers["chance"] == pytest.approx(1 / 11)
    assert numbers["bound"] >= 0.4
    assert numbers["shuffled"] <= 0.3
    assert numbers["untrained"] <= 0.3
