"""Thumbnails and players of items, as data URLs, so that a page stands alone."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

from openbind.media.types import media_type, plays_as_audio, plays_as_video
from openbind.modalities.thumbnails import THUMBNAIL_TYPE, render_thumbnail

MOST_PLAYED_BYTES = 300_000
"""Larger audio and video files have a thumbnail only."""


def draw_item(path: Path | None, modality: str, side: int) -> str | None:
    """Draw a thumbnail of an item.

    Args:
        path: its file; None for texts.
        modality: of the item.
        side: longest side in pixels.

    Returns:
        a data URL; None for texts.

    Raises:
        InputError: the file is unusable.
        MissingExtraError: a video, without the extra "video".
    """
    thumbnail = None if path is None else render_thumbnail(modality, str(path), (side, side))
    return None if thumbnail is None else data_url(thumbnail, THUMBNAIL_TYPE)


def image_url(image: Image.Image) -> str:
    """Return an image as a data URL."""
    content = io.BytesIO()
    image.save(content, "PNG")
    return data_url(content.getvalue(), media_type(Path("x.png")) or "")


def playable_url(path: Path | None) -> str | None:
    """Return an audio or video file as a data URL.

    Returns:
        None for files that are too large, or that browsers don't play.

    Raises:
        OSError: it can't be read.
    """
    if path is None or not (plays_as_audio(path) or plays_as_video(path)):
        return None
    if path.stat().st_size > MOST_PLAYED_BYTES:
        return None
    return data_url(path.read_bytes(), media_type(path) or "application/octet-stream")


def data_url(data: bytes, kind: str) -> str:
    """Return bytes of a media type as a URL that contains them."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
