"""Read the sounds of OpenTTD's base sound sets (`.cat`)."""

from __future__ import annotations

import struct


def read_effect(collection: bytes, number: int) -> bytes:
    """Return one sound of a collection as a WAV file.

    A collection begins with an offset and a size for each sound, 32 bits each, little-endian; at
    an offset there is the sound's name, its length in one byte before it, and then the file.

    Args:
        collection: the content of the file.
        number: of the sound, from 0.

    Raises:
        IndexError: no such sound.
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
    # The highest bit says something else to the game.
    offset: int = struct.unpack_from("<I", collection, 8 * number)[0]
    return offset & 0x7FFFFFFF
