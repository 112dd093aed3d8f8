"""Of several drawn images the one nearest to the query is kept."""

from __future__ import annotations

import numpy as np
from PIL import Image

from openbind.generation.candidates import keep_nearest


def gray(value: int) -> Image.Image:
    return Image.new("RGB", (2, 2), (value,) * 3)


def look(images: list[Image.Image]) -> np.ndarray:
    """Turn from the first axis to the second as images get lighter."""
    angle = np.array([np.asarray(image).mean() / 255 * np.pi / 2 for image in images])
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def test_the_nearest_of_each_group_is_kept() -> None:
    drawn = [gray(value) for value in (200, 10, 90, 100, 255, 120)]
    for vector, best in (([1.0, 0.0], [10, 100]), ([0.0, 1.0], [200, 255])):
        kept = keep_nearest(drawn, np.array(vector), 3, look)
        assert [image.getpixel((0, 0))[0] for image in kept] == best  # type: ignore[index]
