"""Files as data URLs, so that a page is one file."""

from __future__ import annotations

import base64
from pathlib import Path

from openbind.media.types import media_type


def data_url(data: bytes, kind: str) -> str:
    """Return bytes of a media type as a URL that holds them."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def file_url(path: str | Path) -> str:
    """Return a file as a URL that holds it.

    Raises:
        OSError: the file can't be read.
    """
    return data_url(Path(path).read_bytes(), media_type(path) or "application/octet-stream")
