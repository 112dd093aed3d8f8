"""Return whether a file of sound or video was cut short, where decoders read on without a word."""

from __future__ import annotations

import io
from pathlib import Path

OGG_PAGE_MAX = 65_307
"""Largest Ogg page: 27 bytes of header, 255 of segment table, 255 · 255 of content (RFC 3533)."""
SIZED = ((b"RIFF", b"WAVE"), (b"RIFF", b"AVI "), (b"FORM", b"AIFF"), (b"FORM", b"AIFC"))
"""Formats that say their size in the first bytes."""
STREAMED = 0x7FFFF000
"""From here on (and at 0) a size in a header means that it wasn't known yet: what SoX, FFmpeg and
others write into a pipe."""


def find_truncation(opened: Path | io.BytesIO) -> str | None:
    """Compare what a RIFF, AIFF or Ogg file says of its length with what is there.

    Returns:
        what is missing, in words; None for a whole file and for other formats.
    """
    if isinstance(opened, Path):
        with opened.open("rb") as file:
            return _find(file)
    found = _find(opened)
    opened.seek(0)
    return found


def _find(file: io.BufferedIOBase) -> str | None:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if (head[:4], head[8:]) in SIZED:
        said = int.from_bytes(head[4:8], "little" if head[:4] == b"RIFF" else "big")
        # Many writers exclude the byte that pads the last chunk to an even length.
        if 0 < said < STREAMED and said + 8 > size + 1:
            return f"truncated: {size:,} of {said + 8:,} bytes are there"
    if head[:4] == b"OggS":
        file.seek(max(0, size - OGG_PAGE_MAX))
        return _find_in_ogg(file.read())
    return None


def _find_in_ogg(tail: bytes) -> str | None:
    """Check that the last page is whole and marked as the end of its stream (RFC 3533, 6)."""
    start = tail.rfind(b"OggS")
    page = tail[start:]
    if start < 0 or len(page) < 27 or len(page) < 27 + page[26]:
        return "truncated: its last page is cut"
    if len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]]):
        return "truncated: its last page is cut"
    return None if page[5] & 4 else "truncated: the page that ends its stream is missing"


def says_its_length(opened: Path | io.BytesIO) -> bool:
    """Return an MP3 whose first frame holds its length (a Xing, Info or VBRI header).

    Without it libsndfile takes the first frame's bit rate for that of the whole file, and may
    leave most of it out.
    """
    if isinstance(opened, Path):
        with opened.open("rb") as file:
            head = _first_frame(file)
    else:
        head = _first_frame(opened)
        opened.seek(0)
    return any(mark in head for mark in (b"Xing", b"Info", b"VBRI"))


def _first_frame(file: io.BufferedIOBase) -> bytes:
    """Read some bytes from behind an ID3v2 tag, whose size is 4 times 7 bits (id3.org, 3.1)."""
    file.seek(0)
    head = file.read(10)
    size = 0
    if head[:3] == b"ID3" and len(head) == 10:
        size = 10 + sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
    file.seek(size)
    return file.read(200)
