"""Items as texts, and their names wherever the data lie."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from openbind.embedding.items import Item, Member, StoredFeatures, StoredVector, item_name


def encode_item(item: Item, inside: Callable[[str], str]) -> str | None:
    """Write an item as a text, whose first letter says what it is; None if it has none.

    Args:
        item: the item.
        inside: makes a path relative to the data folder.
    """
    if isinstance(item, Path):
        return f"p{inside(item.as_posix())}"
    if isinstance(item, str):
        return f"t{item}"
    if isinstance(item, Member):
        tar = inside(item.tar.as_posix())
        return f"m{item.offset}\0{item.size}\0{tar}\0{item.name}"
    if isinstance(item, StoredVector):
        return f"v{item.row}\0{inside(item.path.as_posix())}"
    if isinstance(item, StoredFeatures):
        return f"f{item.vector.row}\0{inside(item.vector.path.as_posix())}"
    return None


def decode_item(text: str, root: str, objects: Sequence[Item] = ()) -> Item:
    """Read an item that `encode_item` wrote.

    Args:
        text: the item.
        root: the data folder.
        objects: items without a text, by number.
    """
    kind, rest = text[:1], text[1:]
    if kind == "p":
        return Path(root, rest)
    if kind == "t":
        return rest
    if kind == "o":
        return objects[int(rest)]
    if kind == "m":
        offset, size, tar, name = rest.split("\0", 3)
        return Member(Path(root, tar), name, int(offset), int(size))
    row, _, path = rest.partition("\0")
    vector = StoredVector(Path(root, path), int(row))
    return vector if kind == "v" else StoredFeatures(vector)


def file_of(text: bytes) -> bytes:
    """Return the path of the file that has an item, without reading the item; empty for others.

    Args:
        text: what `encode_item` wrote, as UTF-8.
    """
    kind, rest = text[:1], text[1:]
    if kind == b"m":
        rest = rest.split(b"\0", 3)[2]
    elif kind in b"vf":
        rest = rest.partition(b"\0")[2]
    elif kind != b"p":
        return b""
    return rest if rest.isascii() else os.fsencode(rest.decode("utf-8", "surrogatepass"))


def make_relative(root: str) -> Callable[[str], str]:
    """Return a function that makes paths relative to the data folder, however that is spelled."""
    if not root:
        return str
    spellings = dict.fromkeys(
        (Path(root).as_posix(), os.path.abspath(root), os.path.realpath(root))
    )
    prefixes = tuple(f"{spelling.rstrip('/')}/" for spelling in spellings)

    def inside(path: str) -> str:
        prefix = next((p for p in prefixes if path.startswith(p)), "")
        return path[len(prefix) :]

    return inside


def anchor_name(item: Item, span: tuple[float, float] | None, inside: Callable[[str], str]) -> str:
    """Return a frozen item's name, which doesn't depend on where the data lie."""
    name = item_name(item) if isinstance(item, str) else inside(item_name(item))
    return with_span(name, span)


def with_span(name: str, span: tuple[float, float] | None) -> str:
    """Return the name of a part of a recording."""
    return name if span is None else f"{name}@{span}"


State = tuple[int, int, int]
"""A file's size and times."""
MISSING: State = (-1, -1, -1)
"""State of a file that isn't there, or of an item without one."""


def file_state(item: Item) -> State:
    """Return size and times of an item's file; `MISSING` for a text or a missing file."""
    if isinstance(item, StoredFeatures):
        item = item.vector
    path = item.tar if isinstance(item, Member) else getattr(item, "path", item)
    return stat_file(path) if isinstance(path, Path) else MISSING


def stat_file(path: str | bytes | os.PathLike[str]) -> State:
    """Return a file's size and times; `MISSING` if there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return MISSING
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def place_of(name: str) -> float:
    """Map the name of a group of rows to [0, 1), uniformly and always alike."""
    digest = hashlib.blake2b(f"0/{name}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64
