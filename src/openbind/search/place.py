"""Where an index is stored: a folder of this machine, or a prefix of an object store."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from openbind.errors import InputError
from openbind.search.meta import META, Meta, has_meta, read_meta, write_meta
from openbind.search.table import RowTable
from openbind.search.versions import SETTLED_NS

FOLDER = ".openbind"
"""Default folder of an index, in its first root; hidden, so scans skip it."""
ROWS, LOCK = "rows", "writer.lock"


class Place(Protocol):
    """What an index asks of where it is stored; `str` names it."""

    @property
    def folder(self) -> Path | None:
        """The folder; None in an object store."""

    def exists(self) -> bool:
        """Return whether there is an index."""

    def read(self) -> Meta:
        """Return the present description.

        Raises:
            InputError: another format, or invalid content.
        """

    def write(self, meta: Meta) -> None:
        """Replace the description atomically."""

    def open_table(self, dim: int, *, create: bool = False) -> RowTable:
        """Open the rows, see `RowTable`; create empty tables if asked."""

    def writing(self) -> AbstractContextManager[None]:
        """Be the only writer.

        Raises:
            InputError: another process, or thread, writes.
        """

    def size(self) -> int:
        """Return the stored bytes."""


class LocalPlace:
    """A folder.

    Args:
        folder: absolute path.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._address = os.fspath(folder / META)
        self._known: tuple[tuple[int, ...], Meta] | None = None

    def __str__(self) -> str:
        return str(self.folder)

    def exists(self) -> bool:
        """Return whether there is an index."""
        return has_meta(self.folder)

    def read(self) -> Meta:
        """Read `index.json`, as `read_meta`, if it has changed."""
        now, found = time.time_ns(), os.stat(self._address)
        state = (found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size)
        known = self._known
        if known is not None and known[0] == state:
            return known[1]
        meta = read_meta(self.folder)
        # Whatever has changed too recently may change again without a sign.
        self._known = (state, meta) if now - max(state[:2]) > SETTLED_NS else None
        return meta

    def write(self, meta: Meta) -> None:
        """Replace `index.json`."""
        write_meta(self.folder, meta)

    def open_table(self, dim: int, *, create: bool = False) -> RowTable:
        """Open the tables; readers see each new version at once."""
        if create:  # whatever is there may be damaged
            shutil.rmtree(self.folder / ROWS, ignore_errors=True)
        return RowTable(str(self.folder / ROWS), dim, create=create)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the writer's lock; it is released when the process is killed.

        Raises:
            InputError: another process, or thread, holds it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            reason = "another process is updating it; wait until it ends"
            raise InputError(self.folder, reason) from error
        try:
            yield
        finally:
            lock.release()

    def size(self) -> int:
        """Return the bytes of all files."""
        return sum(map(_size_of, self.folder.rglob("*")))


def place_of(directory: str | os.PathLike[str]) -> Place:
    """Return the place that a path, or an address such as s3://bucket/media, names.

    Raises:
        InputError: an address of an unknown kind of store.
    """
    name = os.fspath(directory)
    if "://" not in name:
        return LocalPlace(Path(name).expanduser().absolute())
    from openbind.search.bucket import Bucket

    return Bucket(name)


def find_place(directory: str | os.PathLike[str]) -> Place:
    """Return the place of an index, given itself or the root that holds it.

    Raises:
        InputError: there is no index.
    """
    place = place_of(directory)
    if place.exists():
        return place
    if place.folder is not None and has_meta(place.folder / FOLDER):
        return LocalPlace(place.folder / FOLDER)
    raise InputError(directory, "no index here; create one with `openbind index create`")


def _size_of(path: Path) -> int:
    """Return a file's size; 0 for folders, and for files that a writer has just deleted."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0
