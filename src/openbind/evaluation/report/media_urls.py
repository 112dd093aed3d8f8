"""Media as data URLs, so that a page stands alone."""

from __future__ import annotations

import base64
from pathlib import Path

MEDIA_TYPES = {
    ".avif": "image/avif",
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".mp3": "audio/mpeg",
    ".oga": "audio/ogg",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".wav": "audio/wav",
    ".m4v": "video/mp4",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
}
"""What browsers show and play, by extension (IANA media types). Python's own table
lacks WebP, Ogg and FLAC where the system has none."""


def media_type(path: str | Path) -> str | None:
    """Return a file's media type by its extension; None for what browsers can't render."""
    return MEDIA_TYPES.get(Path(path).suffix.lower())


def is_sound(path: str | Path) -> bool:
    """Return whether a browser plays a file as a sound."""
    return (media_type(path) or "").startswith("audio/")


def is_video(path: str | Path) -> bool:
    """Return whether a browser plays a file as a video."""
    return (media_type(path) or "").startswith("video/")


def data_url(data: bytes, kind: str) -> str:
    """Write bytes of a media type as a URL that holds them."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def file_url(path: str | Path) -> str:
    """Write a file as a URL that holds it.

    Raises:
        OSError: it can't be read.
    """
    return data_url(Path(path).read_bytes(), media_type(path) or "application/octet-stream")
