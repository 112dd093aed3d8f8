"""Bands of rows are converted as the whole is, and reduced to means."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from openbind.media import reduction
from openbind.media.image import read_image

PIXELS = np.random.default_rng(0).integers(0, 256, (96, 64, 4), dtype=np.uint8)


def test_factor() -> None:
    """The shorter side keeps what is needed."""
    assert reduction.reduction((8000, 6000), 896) == 6
    assert reduction.reduction((800, 600), 896) == 1
    assert reduction.reduction((8000, 6000), None) == 1


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "L", "P", "CMYK", "I;16"])
def test_bands_equal_the_whole(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many bands there are, pixels are the same, in every mode."""
    image = Image.fromarray(PIXELS)
    if mode == "I;16":
        image = Image.fromarray(PIXELS[:, :, 0].astype(np.uint16) * 257)
    elif mode == "P":
        image = image.convert("RGB").quantize(64)
        image.info["transparency"] = 3
    else:
        image = image.convert("RGB").convert(mode) if mode != "RGBA" else image
    whole = np.asarray(read_image(image))
    monkeypatch.setattr("openbind.media.image.LARGE_PIXELS", 100)
    monkeypatch.setattr(reduction, "BAND_PIXELS", 64 * 7)
    np.testing.assert_array_equal(np.asarray(read_image(image)), whole)


def test_reduced_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels are the means of squares; sides that aren't multiples are rounded up."""
    monkeypatch.setattr(reduction, "BAND_PIXELS", 64 * 16)
    image = Image.fromarray(PIXELS[:94, :62, :3])
    found = reduction.convert_in_bands(image, 4, lambda band: band)
    assert found.size == (16, 24)
    means = PIXELS[:92, :60, :3].reshape(23, 4, 15, 4, 3).mean((1, 3))
    assert np.abs(np.asarray(found)[:23, :15] - means).max() <= 1


def test_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands of a map become one array, of the converted type and channels."""
    monkeypatch.setattr(reduction, "BAND_PIXELS", 500)
    found = reduction.convert_map(PIXELS, lambda rows: rows.sum(2, dtype=np.uint16))
    np.testing.assert_array_equal(found, PIXELS.sum(2))
    assert found.dtype == np.uint16
    assert reduction.convert_map(PIXELS[:0], lambda rows: rows).shape == (0, 64, 4)
