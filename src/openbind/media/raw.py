"""Raw files of cameras → the largest JPEG inside, the preview that cameras display.

Developing a raw file is a matter of taste and of a large library; its preview is what the camera
made of it. Formats: TIFF 6.0 with a color filter array (TIFF/EP) and its relatives.
"""

from __future__ import annotations

import io
import mmap
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from openbind.errors import InputError
from openbind.media.jpeg import STARTS_OF_FRAME, segments
from openbind.media.source import read_head

HEADS = (b"FUJIFILMCCD-RAW", b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"FOVb")
"""First bytes of RAF, RW2, ORF and X3F files."""
TIFF_HEADS = {b"II*\0": "<", b"MM\0*": ">"}
MAKERS_MARK = {b"CR": 8}
"""Canon's mark in a TIFF's header, and where it is."""
ORIENTATION, PHOTOMETRIC, SUB_IFDS, DNG_VERSION = 0x0112, 0x0106, 0x014A, 0xC612
SENSOR_COLORS = {32_803, 34_892}
"""Values of `PHOTOMETRIC` of a sensor's own pixels: a color filter array, and linear raw."""
MOST_ENTRIES = 1_000
MOST_IFDS = 16
JPEG_START = re.compile(rb"\xff\xd8\xff[\xc0\xc4\xdb\xdd\xe0-\xef\xfe]")
MOST_JPEGS = 64
HEADER_BYTES = 1 << 20
"""Longest header of a JPEG."""

Entries = dict[int, tuple[int, ...]]


def find_preview(opened: Path | io.BytesIO, item: Any) -> Path | io.BytesIO:
    """Return the preview of a raw file, with its orientation, as a JPEG; other files unchanged.

    Args:
        opened: path or stream.
        item: named by errors.

    Raises:
        InputError: a raw file without a preview.
    """
    head = read_head(opened, 64)
    if not _may_be_raw(head):
        return opened
    with _mapped(opened) as data:
        if not _is_raw(head, data):
            return opened
        start, end = _largest_jpeg(data)
        if not start:
            raise InputError(item, "a raw file without a preview; convert it to JPEG or TIFF")
        return io.BytesIO(_turned(data[start:end], _orientation(data)))


def _may_be_raw(head: bytes) -> bool:
    return head.startswith((*HEADS, *TIFF_HEADS)) or head[4:12] == b"ftypcrx "


@contextmanager
def _mapped(opened: Path | io.BytesIO) -> Iterator[Any]:
    """Map a file into memory: few of its bytes are read."""
    if isinstance(opened, Path):
        with (
            opened.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            yield data
    else:
        yield opened.getvalue()


def _is_raw(head: bytes, data: Any) -> bool:
    """Return whether a file that may be raw is: a TIFF of a sensor's own pixels, or the like."""
    order = TIFF_HEADS.get(head[:4])
    if order is None or head[8:10] == b"CR":
        return True
    pending, seen = [int.from_bytes(head[4:8], "little" if order == "<" else "big")], 0
    while pending and seen < MOST_IFDS:
        entries, following = _read_ifd(data, pending.pop(0), order)
        seen += 1
        if DNG_VERSION in entries or SENSOR_COLORS & {*entries.get(PHOTOMETRIC, ())}:
            return True
        pending += [*entries.get(SUB_IFDS, ()), *([following] if following else [])]
    return False


def _read_ifd(data: Any, start: int, order: str) -> tuple[Entries, int]:
    """Return the integers of an image file directory (TIFF 6.0, section 2), and the next one."""
    entries: Entries = {}
    try:
        (count,) = struct.unpack_from(order + "H", data, start)
        for place in range(start + 2, start + 2 + 12 * min(count, MOST_ENTRIES), 12):
            tag, kind, number = struct.unpack_from(order + "HHI", data, place)
            letter, size = {1: ("B", 1), 3: ("H", 2), 4: ("I", 4), 13: ("I", 4)}.get(kind, ("", 0))
            if not letter or not 0 < number <= MOST_IFDS:
                continue
            place += 8
            if number * size > 4:
                (place,) = struct.unpack_from(order + "I", data, place)
            entries[tag] = struct.unpack_from(f"{order}{number}{letter}", data, place)
        (following,) = struct.unpack_from(order + "I", data, start + 2 + 12 * count)
    except struct.error:
        following = 0
    return entries, following


def _orientation(data: Any) -> int:
    """Return the EXIF orientation of the first directory; 1 if there is none."""
    start = max(0, data.find(b"CMT1") + 4) if data[4:8] == b"ftyp" else 0
    order = "<" if data[start : start + 2] == b"II" else ">"
    if data[start : start + 2] not in (b"II", b"MM"):
        return 1
    (first,) = struct.unpack_from(order + "I", data, start + 4)
    # CR3 has its directories in boxes, with offsets from their own starts.
    found, _ = _read_ifd(data[start : start + HEADER_BYTES] if start else data, first, order)
    return found.get(ORIENTATION, (1,))[0]


def _largest_jpeg(data: Any) -> tuple[int, int]:
    """Return where the largest JPEG of 8 bits starts, and where the data may end."""
    largest, best, position = 0, 0, 0
    for _ in range(MOST_JPEGS):
        found = JPEG_START.search(data, position)
        if found is None:
            break
        pixels = _jpeg_pixels(data[found.start() : found.start() + HEADER_BYTES])
        position = found.start() + 2
        if pixels > largest:
            largest, best = pixels, found.start()
    return best, len(data)


def _jpeg_pixels(head: bytes) -> int:
    """Return the pixels of a JPEG of 8 bits; 0 for others, such as the sensor's own data."""
    for marker, start in segments(head):
        if marker in STARTS_OF_FRAME:
            bits, height, width = struct.unpack_from(">BHH", head.ljust(start + 5, b"\0"), start)
            return width * height if bits == 8 else 0
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xDA:
            return 0
    return 0


def _turned(jpeg: bytes, orientation: int) -> bytes:
    """Write an orientation into a JPEG that has none of its own."""
    has_own = any(
        marker == 0xE1 and jpeg[start : start + 4] == b"Exif" for marker, start in _header(jpeg)
    )
    if has_own or not 2 <= orientation <= 8:
        return jpeg
    tag = struct.pack("<HHIHH", ORIENTATION, 3, 1, orientation, 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + tag + bytes(4)
    return jpeg[:2] + struct.pack(">BBH", 0xFF, 0xE1, len(exif) + 2) + exif + jpeg[2:]


def _header(jpeg: bytes) -> Iterator[tuple[int, int]]:
    """Yield the segments before the first scan."""
    for marker, start in segments(jpeg):
        if marker == 0xDA:
            return
        yield marker, start
