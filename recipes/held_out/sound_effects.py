"""Read audio files from OpenTTD's base sound sets (`.cat`)."""

from __future__ import annotations

import struct


def read_effect(collection: bytes, number: int) -> bytes:
    """Return one entry of a collection as a WAV file.

    A collection starts with the offset and size of each entry, 32-bit little-endian; at the offset
    are the length of the entry's name (one byte), the name, and the file.

    Args:
        collection: the content of the file.
        number: index of the entry, from 0.

    Raises:
        IndexError: no such entry.
        ValueError: another format.
    """
    count = _offset(collection, 0) // 8
    if not 0 <= number < count:
        raise IndexError(f"sound {number} of {count}")
    start = _offset(collection, number)
    start += 1 + collection[start]
    if collection[start : start + 4] != b"RIFF":
        raise ValueError(f"sound {number} is no WAV file")
    (size,) = struct.unpack_from("<I", collection, start + 4)
    return collection[start : start + 8 + size]


def _offset(collection: bytes, number: int) -> int:
    # The highest bit is a flag of the game.
    offset: int = struct.unpack_from("<I", collection, 8 * number)[0]
    return offset & 0x7FFFFFFF
