"""Every kind that can be seen has a small JPEG; the others have none."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from openbind.modalities.thumbnails import SIZE, draw_thumbnail


@pytest.fixture
def files(samples: Path, tmp_path: Path) -> dict[str, Path]:
    """One file of each kind."""
    Image.linear_gradient("L").resize((640, 480)).save(tmp_path / "map.png")
    table = np.column_stack([np.arange(100) / 10, np.random.default_rng(0).normal(size=(100, 6))])
    np.savetxt(tmp_path / "m.csv", table, "%.4g", ",", header="seconds,a,b,c,d,e,f", comments="")
    return {
        "image": sorted((samples / "images").iterdir())[0],
        "audio": sorted((samples / "sounds").iterdir())[0],
        "depth": tmp_path / "map.png",
        "thermal": tmp_path / "map.png",
        "imu": tmp_path / "m.csv",
    }


@pytest.mark.parametrize("modality", ["image", "audio", "depth", "thermal", "imu"])
def test_small_and_not_blank(files: dict[str, Path], modality: str) -> None:
    """A JPEG within the size, in which something can be seen."""
    drawn = draw_thumbnail(modality, files[modality])
    assert drawn is not None
    with Image.open(io.BytesIO(drawn)) as image:
        assert image.format == "JPEG"
        assert image.width <= SIZE[0]
        assert image.height <= SIZE[1]
        assert np.asarray(image).std() > 1


def test_nothing_to_draw(tmp_path: Path) -> None:
    """Words, and files that can't be read."""
    (tmp_path / "a.jpg").write_bytes(b"x")
    assert draw_thumbnail("image", tmp_path / "a.jpg") is None
    assert draw_thumbnail("text", tmp_path / "a.jpg") is None
