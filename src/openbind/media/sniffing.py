"""Look into a container without a decoder: whether a file with a video's extension is one."""

from __future__ import annotations

import re
from pathlib import Path

HEAD_BYTES = 1 << 16
"""Matroska describes its tracks in the first bytes."""
MOVIE_BYTES = 1 << 24
MOST_BOXES = 1_000
"""A movie has a few dozen at its top level; fragmented ones have theirs behind the first."""
MATROSKA = b"\x1a\x45\xdf\xa3"
"""First bytes of mkv and webm (RFC 8794, 11.2.1)."""
MATROSKA_TRACK = re.compile(rb"\x83\x81([\x01\x02])")
"""Kind of a track: 1 images, 2 audio (RFC 9559, 5.1.4.1.3)."""
TRANSPORT = {".ts", ".mts", ".m2ts"}
"""Extensions of MPEG transport streams; TypeScript has the first two as well."""


def holds_only_audio(path: Path) -> bool:
    """Return whether a webm, mkv, mp4 or mov has audio and no images, as voice recordings.

    Other formats, and files that can't be read, don't.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            if head.startswith(MATROSKA):
                kinds = set(MATROSKA_TRACK.findall(head))
                return kinds == {b"\x02"} and b"A_" in head and b"V_" not in head
            movie = _read_movie(path, head) if head[4:8] == b"ftyp" else b""
            return b"soun" in movie and b"vide" not in movie
    except OSError:
        return False


def is_transport_stream(path: Path) -> bool:
    """Return whether a file has the sync bytes of a transport stream (ISO 13818-1, 2.4.3.2)."""
    try:
        with path.open("rb") as file:
            head = file.read(5)
    except OSError:
        return True  # reading it reports why
    # Cameras put four bytes of time before each packet.
    return head[:1] == b"\x47" or head[4:5] == b"\x47"


def _read_movie(path: Path, head: bytes) -> bytes:
    """Return the box "moov" of an mp4, which describes its tracks (ISO 14496-12, 8.2.1)."""
    with path.open("rb") as file:
        start = 0
        for _ in range(MOST_BOXES):
            file.seek(start)
            header = file.read(16)
            if len(header) < 8:
                return b""
            size = int.from_bytes(header[:4], "big")
            if size == 1:
                size = int.from_bytes(header[8:16], "big")
            if header[4:8] == b"moov":
                file.seek(start)
                return file.read(min(size, MOVIE_BYTES))
            if size < 8:
                return b""
            start += size
    return b""
