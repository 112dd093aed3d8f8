"""Read files from a Qt resource collection (`.rcc`), as GCompris packs its media.

The format is that of Qt's `rcc --binary`: a header of big-endian offsets, a tree of fixed-size
entries, names in UTF-16, and length-prefixed contents.
"""

from __future__ import annotations

import struct

FOLDER, PACKED = 2, 1 | 4
ENTRY = 22
"""Bytes of a tree entry since version 2 of the format."""


def read_resource(collection: bytes, path: str) -> bytes:
    """Return the content of the file at a slash-separated path.

    Raises:
        KeyError: no such file.
        ValueError: not a collection, or the file is compressed; media files never are.
    """
    magic, version, tree, contents, names = struct.unpack_from(">4sIIII", collection)
    if magic != b"qres" or version < 2:
        raise ValueError("not a Qt resource collection of version 2 or later")
    at = tree
    for part in path.split("/"):
        count, first = struct.unpack_from(">II", collection, at + 6)
        entries = (tree + number * ENTRY for number in range(first, first + count))
        named = {_name(collection, names, entry): entry for entry in entries}
        at = named[part]
    (flags,) = struct.unpack_from(">H", collection, at + 4)
    if flags & (FOLDER | PACKED):
        raise ValueError(f"{path} is a folder or compressed")
    (offset,) = struct.unpack_from(">I", collection, at + 10)
    (length,) = struct.unpack_from(">I", collection, contents + offset)
    start = contents + offset + 4
    return collection[start : start + length]


def _name(collection: bytes, names: int, entry: int) -> str:
    (offset,) = struct.unpack_from(">I", collection, entry)
    (length,) = struct.unpack_from(">H", collection, names + offset)
    # The name is preceded by two bytes of length and four of hash.
    start = names + offset + 6
    return collection[start : start + 2 * length].decode("utf-16-be")
