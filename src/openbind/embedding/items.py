"""The one kind of item: what is embedded, before it is opened.

An item is a `Path` (a file), a `str` (a text), `bytes` (the content of a file), or one of the
classes here: a member of a tar, a stored vector, a part of a file, an item derived from another,
items that share a vector.
"""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from openbind.errors import InputError, describe
from openbind.media.source import open_source

BLOCK_BYTES = 1 << 20
"""Read at once when a file is hashed."""
KEY_BYTES = 20
ESCAPED = re.compile(r"\\udc[89a-f][0-9a-f]")
"""A byte of a name that isn't UTF-8, as `storable_name` writes it (PEP 383)."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside a tar, read by its position without unpacking.

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


@dataclass(frozen=True, slots=True)
class StoredFeatures:
    """Features that a tower's frozen body computed before, for training its head.

    Args:
        vector: where they are.
    """

    vector: StoredVector


@dataclass(frozen=True, kw_only=True)
class FilePart(ABC):
    """A part of a file, or a file that needs a reader of its own.

    A kind of part is a frozen dataclass derived from this one: its other fields say which part,
    and count in the content key by their `repr`.

    Args:
        path: of the file.
    """

    path: Path

    def __str__(self) -> str:
        """Name it in reports."""
        return str(self.path)

    @abstractmethod
    def read(self) -> Any:
        """Return what the modality accepts.

        Raises:
            InputError: it can't be read.
        """


@dataclass(frozen=True)
class DerivedItem(ABC):
    """An item computed from another one, an augmented view for instance.

    A kind of these is a frozen dataclass derived from this one: its other fields say what is
    computed, and count in the content key by their `repr`.

    Args:
        source: the other item.
    """

    source: Item

    @abstractmethod
    def read(self) -> Any:
        """Return what the modality accepts.

        Raises:
            InputError: the source can't be read.
        """


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Several items that share one vector, the mean of theirs: the prompts of one label.

    Args:
        items: at least one.
    """

    items: tuple[Item, ...]


Item = (
    Path | str | bytes | Member | StoredVector | StoredFeatures | FilePart | DerivedItem | Ensemble
)


def open_item(item: Item) -> Any:
    """Return what a modality's preprocessing takes: a path as str, bytes, a text.

    Raises:
        InputError: an archive can't be read, or is shorter than it was; stored features.
        TypeError: a stored vector, which `load_vector` reads, or an ensemble.
    """
    if isinstance(item, Member):
        return _read_member(item)
    if isinstance(item, FilePart | DerivedItem):
        return item.read()
    if isinstance(item, StoredFeatures):
        raise InputError(item_name(item), "stored features serve only to train a head")
    if isinstance(item, StoredVector | Ensemble):
        raise TypeError(f"{item_name(item)}: a {type(item).__name__} can't be opened")
    return str(item) if isinstance(item, Path) else item


def item_name(item: Item) -> str:
    """Return an item's name, the same in every run: its path as given, or its text."""
    if isinstance(item, Path):
        return item.as_posix()
    if isinstance(item, Member):
        return f"{item.tar.as_posix()}/{item.name}"
    if isinstance(item, StoredVector):
        return f"{item.path.as_posix()}#{item.row}"
    if isinstance(item, StoredFeatures):
        return item_name(item.vector)
    if isinstance(item, DerivedItem):
        return item_name(item.source)
    if isinstance(item, Ensemble):
        return ", ".join(map(item_name, item.items))
    return describe(item) if isinstance(item, bytes) else str(item)


def storable_name(name: str) -> str:
    r"""Return a name that formats of valid UTF-8 can store; different for different names.

    Bytes that aren't UTF-8 become `\udcff`; in a name that has such bytes, or this very text, each
    backslash is doubled.
    """
    if not ESCAPED.search(name) and not re.search("[\ud800-\udfff]", name):
        return name
    return name.replace("\\", "\\\\").encode("utf-8", "backslashreplace").decode()


def stored_name(stored: str) -> str:
    """Return the name that `storable_name` stored."""
    if not ESCAPED.search(stored):
        return stored
    parts = re.split(r"(\\\\|\\u[0-9a-f]{4})", stored)
    read = [chr(int(part[2:], 16)) if part.startswith("\\u") else part for part in parts]
    return "".join("\\" if part == "\\\\" else part for part in read)


def content_key(item: Item) -> bytes:
    """Hash an item's content, whatever its name and path: 20 bytes.

    Raises:
        InputError: it can't be read.
    """
    digest = hashlib.blake2b(digest_size=KEY_BYTES)
    if isinstance(item, Path):
        return _file_key(item)
    if isinstance(item, Member):
        digest.update(_read_member(item))
    elif isinstance(item, StoredVector):
        digest.update(_map_vector(item).tobytes())
    elif isinstance(item, StoredFeatures):
        digest.update(b"features" + content_key(item.vector))
    elif isinstance(item, FilePart):
        part = f"{type(item).__module__}.{replace(item, path=Path())!r}"
        digest.update(_file_key(item.path) + part.encode())
    elif isinstance(item, DerivedItem):
        part = f"{type(item).__module__}.{replace(item, source='')!r}"
        digest.update(content_key(item.source) + part.encode())
    elif isinstance(item, Ensemble):
        for member in item.items:
            digest.update(content_key(member))
    else:
        digest.update(item.encode("utf-8", "surrogatepass") if isinstance(item, str) else item)
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
            item_name(vector),
            f"expected a vector of {dim} numbers, as the space has, found {len(stored)}",
        )
    wide = stored.astype(np.float64)
    length = float(np.linalg.norm(wide))
    if not np.isfinite(length):
        raise InputError(item_name(vector), "has NaN or infinite numbers")
    if not length:
        raise InputError(item_name(vector), "all its numbers are 0: it has no direction")
    return np.asarray(wide / length, dtype=np.float32)


def load_features(features: StoredFeatures, dim: int) -> np.ndarray:
    """Read stored features; of the file only their row is read.

    Args:
        features: which ones.
        dim: number of features.

    Returns:
        (dim,) float32.

    Raises:
        InputError: no such file or row, not an array of floats, another number of features, or a
            value that isn't finite.
    """
    stored = _map_vector(features.vector)
    if len(stored) != dim or not np.isfinite(stored).all():
        expected = f"expected {dim} finite numbers, as the tower's body computes"
        raise InputError(item_name(features), f"{expected}, found {describe(stored)}")
    return np.array(stored, dtype=np.float32)


def _file_key(path: Path) -> bytes:
    try:
        status = path.stat()
        return _hash_file(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    except OSError as error:
        raise InputError(path, f"can't be read ({error.strerror or error})") from error


@lru_cache(maxsize=256)
def _hash_file(path: Path, *stat_key: int) -> bytes:
    """Hash a file; one with many parts is read once, unless it changes meanwhile."""
    open_source(path)  # refuses pipes and devices, which might never end
    digest = hashlib.blake2b(digest_size=KEY_BYTES)
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.digest()


def _read_member(member: Member) -> bytes:
    try:
        with member.tar.open("rb") as file:
            file.seek(member.offset)
            data = file.read(member.size)
    except OSError as error:
        raise InputError(item_name(member), f"can't be read ({error.strerror or error})") from error
    if len(data) < member.size:
        raise InputError(
            item_name(member), f"truncated: {len(data):,} of {member.size:,} bytes are there"
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
        raise InputError(item_name(vector), f"no such row; there are {len(rows_ND)}")
    row: np.ndarray = rows_ND[vector.row]
    return row
