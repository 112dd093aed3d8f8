"""Large images at a reduced scale, in bands of rows: their pixels are in memory once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

BAND_PIXELS = 1 << 20
"""Pixels of one band, more for images with longer rows."""


def reduction(size: tuple[int, int], min_side: int | None) -> int:
    """Return the largest whole factor that leaves the shorter side `min_side` pixels; None is 1."""
    return 1 if min_side is None else max(1, min(size) // min_side)


def convert_in_bands(
    image: Image.Image, factor: int, convert: Callable[[Image.Image], Image.Image]
) -> Image.Image:
    """Convert an image to RGB at a fraction of its size.

    Args:
        image: decoded, of any mode.
        factor: each square of so many pixels becomes their mean.
        convert: a band of rows → RGB, pixel by pixel.
    """
    width, height = image.size
    reduced = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    for top, bottom in bands(width, height, factor):
        band = convert(image.crop((0, top, width, bottom)))
        reduced.paste(band.reduce(factor) if factor > 1 else band, (0, top // factor))
    return reduced


def bands(width: int, height: int, multiple: int = 1) -> list[tuple[int, int]]:
    """Return first and last row of bands of about `BAND_PIXELS`, in multiples of some rows."""
    rows = max(1, BAND_PIXELS // max(1, width * multiple)) * multiple
    return [(top, min(height, top + rows)) for top in range(0, height, rows)]


def convert_map(map_HW: np.ndarray, convert: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Convert a map pixel by pixel, in bands of rows, so that temporary arrays are small.

    Args:
        map_HW: (H, W) or (H, W, C).
        convert: some of its rows → as many rows.
    """
    height, width = map_HW.shape[:2]
    converted = None
    for top, bottom in bands(width, height):
        band = convert(map_HW[top:bottom])
        if converted is None:
            converted = np.empty((height, *band.shape[1:]), band.dtype)
        converted[top:bottom] = band
    return convert(map_HW) if converted is None else converted
