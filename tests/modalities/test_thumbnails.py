"""Items of every modality but text have a small JPEG."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from openbind.errors import InputError
from openbind.modalities.thumbnails import SIZE, draw_thumbnail, render_thumbnail


@pytest.fixture
def files(samples: Path, tmp_path: Path) -> dict[str, Path]:
    """One file of each modality."""
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
    """A JPEG within the size, with content."""
    drawn = draw_thumbnail(modality, files[modality])
    assert drawn is not None
    with Image.open(io.BytesIO(drawn)) as image:
        assert image.format == "JPEG"
        assert image.width <= SIZE[0]
        assert image.height <= SIZE[1]
        assert np.asarray(image).std() > 1


def test_nothing_to_draw(tmp_path: Path) -> None:
    """Text and unusable files have no thumbnail; `render_thumbnail` raises the reason."""
    (tmp_path / "a.jpg").write_bytes(b"x")
    assert draw_thumbnail("image", tmp_path / "a.jpg") is None
    assert draw_thumbnail("text", tmp_path / "a.jpg") is None
    with pytest.raises(InputError, match=r"a\.jpg"):
        render_thumbnail("image", tmp_path / "a.jpg")
