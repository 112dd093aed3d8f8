"""`openbind bridge`: from images to a file that names both spaces."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import openbind
from openbind.generation.bridge import MIN_IMAGES, read_bridge

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of little images, and a file that isn't one."""
    folder = tmp_path / "images"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for at in range(MIN_IMAGES + 5):
        colors = generator.integers(0, 255, (3, 3, 3), np.uint8)
        Image.fromarray(colors).resize((48, 48)).save(folder / f"{at}.png")
    (folder / "broken.png").write_bytes(b"no image")
    return folder


def test_bridge(run: Run, images: Path, tmp_path: Path, starter: openbind.Space) -> None:
    """Fitted to all images; its quality is that on held-out ones."""
    path = tmp_path / "bridge.safetensors"
    code, out, err = run("bridge", "starter", "starter", images, "-o", path, "--json")
    assert code == 0
    assert "broken.png" in err
    found = json.loads(out)
    assert (found["images"], found["held_out"]) == (MIN_IMAGES + 5, (MIN_IMAGES + 5) // 5)
    assert found["source"] == found["target"] == starter.identity("image")
    assert found["recall_at_1"] == 1.0
    assert found["cosine"] > 0.9
    assert read_bridge(path).info.norm == pytest.approx(found["norm"])
    few = ["-o", tmp_path / "new.safetensors", "--max-images", MIN_IMAGES - 1]
    code, _, err = run("bridge", "starter", "starter", images, *few)
    assert code == 1
    assert str(MIN_IMAGES) in err
    assert not (tmp_path / "new.safetensors").exists()


def test_wrong_extension(run: Run, images: Path, tmp_path: Path) -> None:
    """Refused before anything is embedded."""
    code, _, err = run("bridge", "starter", "starter", images, "-o", tmp_path / "bridge.npz")
    assert code == 1
    assert ".safetensors" in err
