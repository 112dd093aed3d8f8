"""Small images of files, for people to look at."""

from __future__ import annotations

import io
from pathlib import Path

from openbind.errors import InputError
from openbind.modalities import MODALITIES

SIZE = (256, 256)
LARGE = (1280, 960)
QUALITY = 80


def draw_thumbnail(modality: str, path: Path, size: tuple[int, int] = SIZE) -> bytes | None:
    """Draw a file: a image small, a video's middle, a sound's loudness, a map in colors, curves.

    Args:
        modality: what the file is read as.
        path: of the file.
        size: width and height in pixels, at most.

    Returns:
        a JPEG; None for kinds that have no image, and for files that can't
        be read (what embeds them says why).
    """
    draw = MODALITIES.get(modality).thumbnail
    if draw is None:
        return None
    try:
        image = draw(path, size)
    except InputError:
        return None
    written = io.BytesIO()
    image.convert("RGB").save(written, "JPEG", quality=QUALITY)
    return written.getvalue()
