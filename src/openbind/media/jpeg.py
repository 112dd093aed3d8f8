"""JPEGs: their scans, and those whose end is missing (ITU-T T.81)."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops

from openbind.errors import InputError
from openbind.limits import check_limit
from openbind.media.source import read_bytes
from openbind.media.truncation import is_mostly_there, report_missing

MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
"""A marker other than those inside the data of a scan (B.1.1.2)."""
START_OF_SCAN, END, TEMPORARY, START = 0xDA, 0xD9, 0x01, 0xD8
STARTS_OF_FRAME = {0xC0, 0xC1, 0xC2}
"""Sequential and progressive images with Huffman codes."""
COEFFICIENTS = 64
MOST_SCAN_PIXELS = 1 << 30
"""Pixels times scans of one image, a few seconds of work: 10 scans of 100 megapixels."""
TAILS = (b"", b"\x55" * 64, b"\xaa" * 64)
"""Endings of an incomplete JPEG's data that decode to different pixels if any are missing."""


def segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the marker of each segment, and where its content starts, behind its length."""
    position = 2
    while found := MARKER.search(data, position):
        marker, position = found[1][0], found.end()
        if marker == END:
            return
        if marker in (TEMPORARY, START):
            continue
        length = int.from_bytes(data[position : position + 2], "big")
        yield marker, position + 2
        position += max(length, 2)


def count_scans(data: bytes) -> int:
    """Return the number of scans."""
    return sum(marker == START_OF_SCAN for marker, _ in segments(data))


def check_scans(opened: Path | io.BytesIO, image: Image.Image, item: Any) -> None:
    """Check that a JPEG has no more scans than it may: each costs as much as the whole image.

    Args:
        opened: path or stream.
        image: the opened JPEG, not decoded yet.
        item: named by errors.

    Raises:
        LimitError: too many scans, or too many for its size.
    """
    # A sequential image of one scan ends after it, whatever follows.
    layers = getattr(image, "layers", 0)
    is_progressive = "progressive" in image.info
    data = read_bytes(opened)
    if not is_progressive and _first_scan_layers(data) == layers:
        return
    scans = count_scans(data)
    check_limit("scans", scans, item)
    if scans * image.width * image.height > MOST_SCAN_PIXELS:
        found = f"{scans} scans of {image.width} × {image.height} pixels"
        raise InputError(item, f"{found}, together more than {MOST_SCAN_PIXELS:,}; refused")


def _first_scan_layers(data: bytes) -> int:
    return next((data[start] for marker, start in segments(data) if marker == START_OF_SCAN), 0)


def recover_jpeg(opened: Path | io.BytesIO, min_side: int | None, item: Any) -> Image.Image:
    """Decode a JPEG that lacks its end: only the last marker, or at most a tenth of its rows.

    What is missing is where the image depends on what follows the data.

    Args:
        opened: path or stream.
        min_side: as in `read_image`.
        item: named by errors.

    Returns:
        the image; missing rows continue the last color.

    Raises:
        InputError: more is missing. With less, a warning.
        OSError: broken otherwise.
    """
    data = read_bytes(opened).removesuffix(b"\xff")
    image, *others = (_decode(data + tail, min_side) for tail in TAILS)
    box = ImageChops.difference(*(other.convert("L") for other in others)).getbbox()
    is_whole, is_refined = _coverage(data)
    if is_whole and box is None:
        return image
    rows = image.height if box is None else box[1]
    missing = f"truncated: found {rows} of {image.height} rows of the JPEG"
    is_usable = is_whole and (is_refined or is_mostly_there(rows, image.height))
    report_missing(item, missing if is_whole else "truncated: scans are missing", is_usable)
    return image


def _decode(data: bytes, min_side: int | None) -> Image.Image:
    image = Image.open(io.BytesIO(data + bytes([0xFF, END])), formats=("JPEG",))
    if min_side is not None:
        image.draft(image.mode, (min_side, min_side))
    image.load()
    return image


def _coverage(data: bytes) -> tuple[bool, bool]:
    """Return whether the scans hold each coefficient to its last bit (G.1.1.1).

    The second value tells whether the last scan, which may be incomplete, only refines others.
    """
    layers: bytes = b""
    is_refined = False
    lowest_bits: dict[tuple[int, int], int] = {}
    for marker, start in segments(data):
        if marker in STARTS_OF_FRAME:
            layers = data[start + 6 : start + 6 + 3 * data[start + 5] : 3]
        elif marker == START_OF_SCAN:
            end = start + 1 + 2 * data[start]
            first, last, bits = data[end : end + 3].ljust(3, b"\xff")
            is_refined = bits >> 4 > 0
            for layer in data[start + 1 : end : 2]:
                for coefficient in range(first, min(last, COEFFICIENTS - 1) + 1):
                    lowest_bits[layer, coefficient] = bits & 15
    places = [(layer, coefficient) for layer in layers for coefficient in range(COEFFICIENTS)]
    return all(lowest_bits.get(place) == 0 for place in places), is_refined
