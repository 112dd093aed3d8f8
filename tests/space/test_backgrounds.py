"""Unrelated images: those that ship, read once, then from the cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from openbind.localisation.backgrounds import IMAGES
from openbind.space.backgrounds import load_backgrounds, unrelated_images


def test_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another identity is computed again; a modality without images has none."""
    monkeypatch.setenv("OPENBIND_CACHE", str(tmp_path))
    seen: list[Path] = []

    def read(path: Path, settings: dict[str, Any]) -> torch.Tensor:
        seen.append(path)
        return torch.rand(4, 4, 8)

    first = load_backgrounds("image", "a", read)
    assert first is not None
    count = len(seen)
    assert 10 < count <= IMAGES
    assert all(path.exists() for path in seen)
    assert load_backgrounds("image", "a", read) is first
    assert len(seen) == count
    load_backgrounds("image", "b", read)
    assert len(seen) == 2 * count
    assert load_backgrounds("audio_of_whales", "a", read) is None


def test_depth_has_its_units() -> None:
    """Files come with the settings that they need."""
    rows = unrelated_images("depth")
    assert rows
    assert all(settings for _, settings in rows)
