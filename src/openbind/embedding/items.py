"""Items before they are decoded: a file, a member of a tar, words, a vector."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from openbind.errors import InputError
from openbind.media.source import open_source

BLOCK_BYTES = 1 << 20
"""Read at once when a file is hashed."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside a tar, read by its place without unpacking.

    Args:
        tar: the archive.
        name: of the file in it.
        offset, size: of its bytes in the archive.
    """

    tar: Path
    name: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class StoredVector:
    """A vector of the joint space that was computed before: a row of a .npy file.

    Args:
        path: of a float array (dim,) or (n, dim).
        row: which one.
    """

    path: Path
    row: int = 0


Item = Path | str | Member | StoredVector


class RowItems(Mapping[str, tuple[Item, ...]]):
    """The items of one row, in little memory: with millions of rows that decides if they fit.

    A file is kept as its path's text (some 80 bytes) and becomes a `Path` (some 300) when it is
    asked for.

    Args:
        modalities: names of the row's modalities; one tuple serves all rows.
        cells: for each of them the text of one path, or the items themselves.
    """

    __slots__ = ("_cells", "_modalities")

    def __init__(
        self, modalities: tuple[str, ...], cells: tuple[str | tuple[Item, ...], ...]
    ) -> None:
        self._modalities, self._cells = modalities, cells

    def __getitem__(self, modality: str) -> tuple[Item, ...]:
        if modality not in self._modalities:
            raise KeyError(modality)
        cell = self._cells[self._modalities.index(modality)]
        return (Path(cell),) if isinstance(cell, str) else cell

    def __iter__(self) -> Iterator[str]:
        return iter(self._modalities)

    def __len__(self) -> int:
        return len(self._modalities)

    def __repr__(self) -> str:
        return repr(dict(self))


def open_item(item: Item) -> Any:
    """Return what a modality's preprocessing takes: a path as str, a member's bytes, or a text.

    Raises:
        InputError: a member's archive can't be read, or is shorter than it was.
        TypeError: a stored vector, which `load_vector` reads.
    """
    if isinstance(item, Member):
        return _read_member(item)
    if isinstance(item, StoredVector):
        raise TypeError(f"{item_key(item)} is a vector already: load_vector reads it")
    return str(item)


def item_key(item: Item) -> str:
    """Name an item, the same in every run: its path as given, its place in a tar, or its text."""
    if isinstance(item, Member):
        return f"{item.tar.as_posix()}/{item.name}"
    if isinstance(item, StoredVector):
        return f"{item.path.as_posix()}#{item.row}"
    return item.as_posix() if isinstance(item, Path) else item


def content_digest(item: Item) -> bytes:
    """Hash an item's content, whatever its name and place: 20 bytes.

    Raises:
        InputError: it can't be read.
    """
    digest = hashlib.blake2b(digest_size=20)
    if isinstance(item, Path):
        try:
            with item.open("rb") as file:
                while block := file.read(BLOCK_BYTES):
                    digest.update(block)
        except OSError as error:
            raise InputError(item, f"can't be read ({error.strerror or error})") from error
    elif isinstance(item, Member):
        digest.update(_read_member(item))
    elif isinstance(item, StoredVector):
        digest.update(_map_vector(item).tobytes())
    else:
        digest.update(item.encode())
    return digest.digest()


def load_vector(vector: StoredVector, dim: int) -> np.ndarray:
    """Read a stored vector; of the file only its row is read.

    Args:
        vector: which one.
        dim: dimensions of the space.

    Returns:
        (dim,) float32 of unit length.

    Raises:
        InputError: no such file or row, not an array of floats, another dimension, a value that
            isn't finite, or a vector of zeros.
    """
    stored = _map_vector(vector)
    if len(stored) != dim:
        raise InputError(
            item_key(vector),
            f"expected a vector of {dim} numbers, as the space has, found {len(stored)}",
        )
    wide = stored.astype(np.float64)
    length = float(np.linalg.norm(wide))
    if not np.isfinite(length):
        raise InputError(item_key(vector), "has NaN or infinite numbers")
    if not length:
        raise InputError(item_key(vector), "all its numbers are 0: it has no direction")
    return np.asarray(wide / length, dtype=np.float32)


def _read_member(member: Member) -> bytes:
    try:
        with member.tar.open("rb") as file:
            file.seek(member.offset)
            data = file.read(member.size)
    except OSError as error:
        raise InputError(item_key(member), f"can't be read ({error.strerror or error})") from error
    if len(data) < member.size:
        raise InputError(
            item_key(member), f"truncated: {len(data):,} of {member.size:,} bytes are there"
        )
    return data


def _map_vector(vector: StoredVector) -> np.ndarray:
    """Return one row of a file, not yet read."""
    open_source(vector.path)
    try:
        stored = np.load(vector.path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(vector.path, f"not a .npy file of numbers ({error})") from error
    if not isinstance(stored, np.ndarray) or stored.dtype.kind != "f" or stored.ndim not in (1, 2):
        found = f"{stored.dtype} {stored.shape}" if isinstance(stored, np.ndarray) else ".npz"
        raise InputError(vector.path, f"expected floats of shape (dim,) or (n, dim), found {found}")
    rows_ND = stored[None] if stored.ndim == 1 else stored
    if not 0 <= vector.row < len(rows_ND):
        raise InputError(item_key(vector), f"no such row; there are {len(rows_ND)}")
    row: np.ndarray = rows_ND[vector.row]
    return row
