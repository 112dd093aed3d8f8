"""Detect truncated audio and video files, where decoders would read on silently."""

from __future__ import annotations

import io
from pathlib import Path

OGG_PAGE_MAX = 65_307
"""Largest Ogg page: 27 bytes of header, 255 of segment table, 255 · 255 of content (RFC 3533)."""
SIZED = ((b"RIFF", b"WAVE"), (b"RIFF", b"AVI "), (b"FORM", b"AIFF"), (b"FORM", b"AIFC"))
"""Formats with their size in the first bytes."""
STREAMED = 0x7FFFF000
"""Sizes from here on, and 0, mean that it wasn't known yet: SoX, FFmpeg and others write them into
pipes."""


def find_truncation(opened: Path | io.BytesIO) -> str | None:
    """Compare the size in the header of a RIFF, AIFF or Ogg file with its actual size.

    Returns:
        a sentence about what is missing; None for complete files and other formats.
    """
    if isinstance(opened, Path):
        with opened.open("rb") as file:
            return _find_truncation(file)
    found = _find_truncation(opened)
    opened.seek(0)
    return found


def _find_truncation(file: io.BufferedIOBase) -> str | None:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if (head[:4], head[8:]) in SIZED:
        header_size = int.from_bytes(head[4:8], "little" if head[:4] == b"RIFF" else "big")
        # Many writers omit the byte that pads the last chunk to an even length.
        if 0 < header_size < STREAMED and header_size + 8 > size + 1:
            return f"truncated: found {size:,} of {header_size + 8:,} bytes"
    if head[:4] == b"OggS":
        file.seek(max(0, size - OGG_PAGE_MAX))
        return _find_ogg_truncation(file.read())
    return None


def _find_ogg_truncation(tail: bytes) -> str | None:
    """Check that the last page is complete and marked as the end of its stream (RFC 3533, 6)."""
    start = tail.rfind(b"OggS")
    page = tail[start:]
    if start < 0 or len(page) < 27 or len(page) < 27 + page[26]:
        return "truncated: the last Ogg page is incomplete"
    if len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]]):
        return "truncated: the last Ogg page is incomplete"
    return None if page[5] & 4 else "truncated: the last Ogg page is missing"


def has_length_header(opened: Path | io.BytesIO) -> bool:
    """Return whether the first frame of an MP3 has its length (a Xing, Info or VBRI header).

    Without it libsndfile takes the first frame's bit rate for that of the whole file, and may
    drop most of it.
    """
    if isinstance(opened, Path):
        with opened.open("rb") as file:
            head = _first_frame(file)
    else:
        head = _first_frame(opened)
        opened.seek(0)
    return any(mark in head for mark in (b"Xing", b"Info", b"VBRI"))


def _first_frame(file: io.BufferedIOBase) -> bytes:
    """Read the bytes after an ID3v2 tag, whose size is 4 times 7 bits (id3.org, 3.1)."""
    file.seek(0)
    head = file.read(10)
    size = 0
    if head[:3] == b"ID3" and len(head) == 10:
        size = 10 + sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
    file.seek(size)
    return file.read(200)
