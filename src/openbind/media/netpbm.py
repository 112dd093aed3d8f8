"""PPM and PGM images of 16 bits, of which PIL reads 8 and slowly (netpbm's formats P5 and P6)."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np

from openbind.errors import InputError
from openbind.limits import check_sides
from openbind.media.source import read_bytes, read_head

SPACE = rb"(?:\s|#[^\n]*\n)+"
NUMBER = rb"(\d{1,9})"
HEADER = re.compile(rb"P([56])" + 3 * (SPACE + NUMBER) + rb"\s")
"""Kind, width, height and largest value, with comments between."""
HEADER_BYTES = 4_096
LEAST, MOST = 256, 65_535
"""Largest values of a file whose pixels have two bytes a channel."""


def read_deep_netpbm(opened: Path | io.BytesIO, item: Any) -> tuple[np.ndarray, int] | None:
    """Read a binary PGM or PPM of 16 bits.

    Args:
        opened: path or stream.
        item: named by errors.

    Returns:
        counts (H, W) or (H, W, 3) uint16, as stored, and the count that is white; None for any
        other file.

    Raises:
        InputError: truncated, or too large.
    """
    found = HEADER.match(read_head(opened, HEADER_BYTES))
    if found is None or not LEAST <= int(found[4]) <= MOST:
        return None
    kind, width, height, white = map(int, found.groups())
    channels = 3 if kind == 6 else 1
    total = width * height * channels
    check_sides(width, height, item)
    counts = np.frombuffer(read_bytes(opened)[found.end() : found.end() + 2 * total], np.uint8)
    if not total or len(counts) < 2 * total:
        raise InputError(item, f"truncated: found {len(counts)} of {2 * total} bytes")
    native = counts.view(">u2").astype(np.uint16)
    return native.reshape((height, width, 3) if channels == 3 else (height, width)), white
