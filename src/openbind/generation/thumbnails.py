"""Names and thumbnails of the images that a generator learned from, to show beside drawn ones."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

SIDE = 32
"""Pixels of a thumbnail."""
QUALITY = 28
"""Of the sheet's WebP."""


@dataclass(frozen=True)
class Thumbnails:
    """Square thumbnails on one sheet, row by row.

    Args:
        names: of the images, in the order of their vectors.
        content: the sheet as a WebP file.
    """

    names: tuple[str, ...]
    content: bytes

    @cached_property
    def sheet(self) -> Image.Image:
        """All thumbnails."""
        return Image.open(io.BytesIO(self.content)).convert("RGB")

    def tile(self, row: int) -> Image.Image:
        """Return one image's thumbnail."""
        columns = self.sheet.width // SIDE
        left, top = row % columns * SIDE, row // columns * SIDE
        return self.sheet.crop((left, top, left + SIDE, top + SIDE))


def make_thumbnails(names: Sequence[str], pixels_NHWC: np.ndarray) -> Thumbnails:
    """Return thumbnails of square images, uint8, in lossy compression."""
    columns = math.ceil(math.sqrt(len(names)))
    size = (columns * SIDE, math.ceil(len(names) / columns) * SIDE)
    sheet = Image.new("RGB", size, "white")
    for row, pixels_HWC in enumerate(pixels_NHWC):
        small = Image.fromarray(pixels_HWC).resize((SIDE, SIDE), Image.Resampling.BOX)
        sheet.paste(small, (row % columns * SIDE, row // columns * SIDE))
    content = io.BytesIO()
    sheet.save(content, "WEBP", quality=QUALITY, method=6)
    return Thumbnails(tuple(names), content.getvalue())
