"""Thumbnails and players of items, as data URLs."""

from __future__ import annotations

from pathlib import Path

from openbind.evaluation.report.media_urls import data_url, file_url
from openbind.media.types import plays_as_audio, plays_as_video
from openbind.modalities.thumbnails import THUMBNAIL_TYPE, render_thumbnail

MOST_PLAYED_BYTES = 300_000
"""Larger audio and video files are drawn only."""


def draw_item(path: str, modality: str, side: int) -> str | None:
    """Draw a thumbnail of an item.

    Args:
        path: of its file.
        modality: of the item.
        side: longest side in pixels.

    Returns:
        a data URL; None for text, which is displayed itself.

    Raises:
        InputError: the file is unusable.
        MissingExtraError: a video, without the extra "video".
    """
    thumbnail = render_thumbnail(modality, path, (side, side))
    return None if thumbnail is None else data_url(thumbnail, THUMBNAIL_TYPE)


def playable_url(path: str) -> str | None:
    """Return an audio or video file as a data URL.

    Returns:
        None for files that are too large, or that browsers don't play.

    Raises:
        OSError: the file can't be read.
    """
    if not plays_as_audio(path) and not plays_as_video(path):
        return None
    return None if Path(path).stat().st_size > MOST_PLAYED_BYTES else file_url(path)
