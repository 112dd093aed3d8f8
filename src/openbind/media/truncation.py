"""Detect truncated audio and video files, where decoders would read on silently."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from openbind.errors import InputError, describe

OGG_PAGE_MAX = 65_307
"""Largest Ogg page: 27 bytes of header, 255 of segment table, 255 · 255 of content (RFC 3533)."""
STREAMED = 0x7FFFF000
"""Sizes from here on, and 0, mean that it wasn't known yet: SoX, FFmpeg and others write them into
pipes."""
MOST = Fraction(9, 10)
"""Fraction of a recording from which a truncated one is used, with a warning."""
HEADER_BYTES = 64
"""A size that is too large by less than this counts headers too."""
MAX_CHUNKS = 1_000
"""Chunks that are looked at for the one of the samples."""
LENGTH_MARKS = (b"Xing", b"Info", b"VBRI")
NEXT_BYTES = 8_192
"""An MP3 that continues for at least this much after its stated end is followed by another one."""
CHAIN_BLOCK = 1 << 20
FIRST_PAGE = b"OggS\0\2"
"""Start of the first page of a logical stream (RFC 3533, 6)."""


def is_mostly_there(found: int | Fraction, promised: int | Fraction) -> bool:
    """Return whether a recording is complete enough to be used."""
    return found > 0 and found >= MOST * promised


def report_missing(source: Any, missing: str, is_usable: bool) -> None:
    """Warn of a truncated recording, or refuse it.

    Args:
        source: the recording.
        missing: a sentence about what is missing.
        is_usable: most of it is there.

    Raises:
        InputError: it isn't usable.
    """
    if not is_usable:
        raise InputError(source, missing)
    warnings.warn(f"{describe(source)}: {missing}; used as it is", stacklevel=2)


def check_truncation(source: Any, opened: Path | io.BytesIO) -> None:
    """Compare the headers of a RIFF, AIFF or Ogg file with its size; other formats pass.

    Args:
        source: named by errors.
        opened: path, or a stream, which is left at its start.

    Raises:
        InputError: less than nine tenths of the content are there; with more, a warning.
    """
    if isinstance(opened, Path):
        with opened.open("rb") as file:
            _check_truncation(source, file)
    else:
        _check_truncation(source, opened)
        opened.seek(0)


def _check_truncation(source: Any, file: io.BufferedIOBase) -> None:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if head[:4] in (b"RIFF", b"FORM") and head[8:] in (b"WAVE", b"AIFF", b"AIFC", b"AVI "):
        found, promised = _content_bytes(file, head, size)
        # Many writers omit the byte that pads the last chunk to an even length.
        if 0 < promised < STREAMED and promised > found + HEADER_BYTES:
            missing = f"truncated: found {found:,} of {promised:,} bytes"
            report_missing(source, missing, is_mostly_there(found, promised))
    elif head[:4] == b"OggS":
        file.seek(max(0, size - OGG_PAGE_MAX))
        if not _ends_with_a_page(file.read()):
            raise InputError(source, "truncated: the last Ogg page is incomplete")


def _content_bytes(file: io.BufferedIOBase, head: bytes, size: int) -> tuple[int, int]:
    """Return how many bytes of content are there, and how many the header promises.

    Of WAV and AIFF it is the chunk of samples that counts: what the whole file's size is said to
    be is often wrong, or never filled in.
    """
    order: Literal["little", "big"] = "little" if head[:4] == b"RIFF" else "big"
    if head[8:] != b"AVI ":
        for name, start, length in _chunks(file, order):
            if name in (b"data", b"SSND"):
                return size - start, length
    whole = int.from_bytes(head[4:8], order)
    return size - 8, whole


def _chunks(
    file: io.BufferedIOBase, order: Literal["little", "big"]
) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and size of the chunks after a header of 12 bytes."""
    start = 12
    for _ in range(MAX_CHUNKS):
        file.seek(start)
        head = file.read(8)
        if len(head) < 8:
            return
        length = int.from_bytes(head[4:], order)
        yield head[:4], start + 8, length
        start += 8 + length + length % 2


def _ends_with_a_page(tail: bytes) -> bool:
    """Return whether the last Ogg page is complete; many writers don't mark it as the last."""
    page = tail[tail.rfind(b"OggS") :]
    if not page.startswith(b"OggS") or len(page) < 27 or len(page) < 27 + page[26]:
        return False
    return len(page) >= 27 + page[26] + sum(page[27 : 27 + page[26]])


def is_chained(opened: Path | io.BytesIO) -> bool:
    """Return whether an Ogg file holds several recordings one after the other (RFC 3533, 4).

    libsndfile reads the first of them only.
    """
    if isinstance(opened, Path):
        with opened.open("rb") as file:
            return _is_chained(file)
    found = _is_chained(opened)
    opened.seek(0)
    return found


def _is_chained(file: io.BufferedIOBase) -> bool:
    tail, is_first = b"", True
    file.seek(0)
    while block := file.read(CHAIN_BLOCK):
        if is_first and not block.startswith(b"OggS"):
            return False
        # Streams that start together, such as images and audio, do so before all content.
        if _has_later_start(tail + block, is_first):
            return True
        tail, is_first = block[1 - len(FIRST_PAGE) :], False
    return False


def _has_later_start(block: bytes, is_first: bool) -> bool:
    position = _end_of_starts(block) if is_first else 0
    return block.find(FIRST_PAGE, position) >= 0


def _end_of_starts(block: bytes) -> int:
    """Return where the first page begins that starts no stream."""
    position = block.find(b"OggS")
    while position >= 0 and block.startswith(FIRST_PAGE, position):
        position = block.find(b"OggS", position + 4)
    return len(block) if position < 0 else position


def has_length_header(opened: Path | io.BytesIO) -> bool:
    """Return whether the first frame of an MP3 has the length of the whole file.

    Without such a header (Xing, Info or VBRI) libsndfile takes the first frame's bit rate for that
    of the whole file, and may drop most of it. Of concatenated files the header is that of the
    first.
    """
    if isinstance(opened, Path):
        with opened.open("rb") as file:
            return _has_length(file)
    found = _has_length(opened)
    opened.seek(0)
    return found


def _has_length(file: io.BufferedIOBase) -> bool:
    start = _tag_bytes(file)
    size = file.seek(0, io.SEEK_END)
    file.seek(start)
    head = file.read(200)
    if not any(mark in head for mark in LENGTH_MARKS):
        return False
    promised = _length_bytes(head)
    if promised is None:
        return True
    # Tags may follow, or another MP3.
    file.seek(start + promised)
    return size - start - promised < NEXT_BYTES or not _starts_with_frame(file.read(10))


def _starts_with_frame(data: bytes) -> bool:
    """Return whether data start with MPEG audio, or an ID3 tag before it."""
    if data[:3] == b"ID3":
        return True
    return len(data) > 1 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0 and data[1] & 6 != 0


def _length_bytes(head: bytes) -> int | None:
    """Return the number of bytes by a Xing header; None if it doesn't have it."""
    start = max(head.find(b"Xing"), head.find(b"Info"))
    if start < 0 or len(head) < start + 16:
        return None
    flags = int.from_bytes(head[start + 4 : start + 8], "big")
    if not flags & 2:
        return None
    place = start + (12 if flags & 1 else 8)
    return int.from_bytes(head[place : place + 4], "big") or None


def _tag_bytes(file: io.BufferedIOBase) -> int:
    """Return the size of an ID3v2 tag, which is 4 times 7 bits (id3.org, 3.1)."""
    file.seek(0)
    head = file.read(10)
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    return 10 + sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
