"""Images become files whole or not at all."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from openbind.errors import InputError
from openbind.generation.files import GAP, arrange, image_format, write_image


@pytest.fixture
def noise() -> Image.Image:
    """An image that compresses badly."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))


def test_grid(noise: Image.Image) -> None:
    """One image is unchanged; several are side by side, row by row."""
    assert arrange([noise]) is noise
    red = Image.new("RGB", (64, 64), "red")
    grid = arrange([noise, noise, red])
    assert grid.size == (2 * 64 + GAP, 2 * 64 + GAP)
    assert grid.crop((0, 64 + GAP, 64, 2 * 64 + GAP)).tobytes() == red.tobytes()
    assert arrange([noise] * 2).size == (2 * 64 + GAP, 64)


def test_written_with_how_it_was_drawn(noise: Image.Image, tmp_path: Path) -> None:
    """PNG files say how they were drawn; folders are created."""
    write_image(noise, tmp_path / "new" / "out.png", "drawn by a test")
    with Image.open(tmp_path / "new" / "out.png") as found:
        assert found.text["Description"] == "drawn by a test"  # type: ignore[attr-defined]
        assert found.tobytes() == noise.tobytes()
    write_image(noise, tmp_path / "out.jpg", "")
    with Image.open(tmp_path / "out.jpg") as found:
        assert found.format == "JPEG"


def test_names_that_are_no_text(noise: Image.Image, tmp_path: Path) -> None:
    """Bytes of a name that aren't UTF-8 are escaped in the description, and kept in the path."""
    path = tmp_path / "out\udcff.png"
    write_image(noise, path, "where in a\udcff\n.jpg the query is")
    with Image.open(path) as image:
        assert image.text["Description"] == r"where in a\udcff\n.jpg the query is"  # type: ignore[attr-defined]


def test_wrong_outputs(tmp_path: Path) -> None:
    """Extensions that aren't images', and folders, are refused before anything is drawn."""
    for name in ("out", "out.txt", "out.svg"):
        with pytest.raises(InputError, match="extension"):
            image_format(tmp_path / name)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InputError, match="folder"):
        image_format(tmp_path / "folder.png")


def test_no_space_left(noise: Image.Image, tmp_path: Path) -> None:
    """Where the file can't grow, the old one stays and nothing else is left."""
    path = tmp_path / "out.png"
    path.write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(InputError, match="nothing was changed") as caught:
            write_image(noise, path, "")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.item == str(path)
    assert [found.name for found in tmp_path.iterdir() if found.is_file()] == ["out.png"]
    assert path.read_bytes() == b"old"
