"""Thumbnails of items: small JPEGs of images, video, audio, maps and motion data."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from openbind.errors import OpenbindError, decoding
from openbind.modalities import MODALITIES
from openbind.modalities.spec import Sample

SIZE = (256, 256)
LARGE = (1280, 960)
QUALITY = 80
THUMBNAIL_TYPE = "image/jpeg"
"""Media type of thumbnails."""


def render_thumbnail(modality: str, item: Any, size: tuple[int, int] = SIZE) -> bytes | None:
    """Draw an item: an image, a video's middle frame, a waveform, a map in false colors, curves.

    Args:
        modality: of the item.
        item: a path, or another item of the modality.
        size: maximum width and height in pixels.

    Returns:
        a JPEG; None for modalities that can't be drawn.

    Raises:
        InputError: the item is unusable.
    """
    thumbnail = MODALITIES.get(modality).thumbnail
    if thumbnail is None:
        return None
    return _as_jpeg(thumbnail(item, size))


def _as_jpeg(image: Image.Image) -> bytes:
    written = io.BytesIO()
    image.convert("RGB").save(written, "JPEG", quality=QUALITY)
    return written.getvalue()


def thumbnail_of(modality: str, part: Any, sample: Sample) -> bytes | None:
    """Return the thumbnail of a part that was just decoded; None if it can't be drawn."""
    if sample.draw is None:
        return draw_thumbnail(modality, part)
    return _as_jpeg(sample.draw(SIZE))


def draw_thumbnail(modality: str, item: Any, size: tuple[int, int] = SIZE) -> bytes | None:
    """Return `render_thumbnail`, and None for unusable items: embedding them reports the reason."""
    try:
        with decoding(item):
            return render_thumbnail(modality, item, size)
    except (OpenbindError, OSError):
        return None
