"""Small images of items, as their modalities draw them, and what can be played."""

from __future__ import annotations

import io
from pathlib import Path

from openbind.evaluation.report.media_urls import data_url, file_url, is_sound, is_video
from openbind.modalities import MODALITIES

MOST_PLAYED_BYTES = 300_000
"""Sounds and videos of more bytes are drawn only."""
WEBP_QUALITY = 80


def draw_item(path: str, modality: str, side: int) -> str | None:
    """Draw a small image of an item.

    Args:
        path: of its file.
        modality: what it is read as.
        side: longest side in pixels.

    Returns:
        a data URL; None for words, which are shown as they are.

    Raises:
        InputError: the file can't be read as that modality.
        MissingExtraError: a video, without the extra "video".
    """
    draw = MODALITIES.get(modality).thumbnail
    if draw is None:
        return None
    file = io.BytesIO()
    draw(path, (side, side)).save(file, "WEBP", quality=WEBP_QUALITY)
    return data_url(file.getvalue(), "image/webp")


def playable_url(path: str) -> str | None:
    """Embed a sound or a video as it is.

    Returns:
        a data URL; None for what isn't played, is too large, or no browser knows.

    Raises:
        OSError: it can't be read.
    """
    if not is_sound(path) and not is_video(path):
        return None
    return None if Path(path).stat().st_size > MOST_PLAYED_BYTES else file_url(path)
