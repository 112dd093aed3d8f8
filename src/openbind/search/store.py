"""What an index is on the disk: its table, what it says of itself, and who may write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from openbind.errors import InputError
from openbind.search.meta import Meta, read_meta, write_meta
from openbind.search.table import RowTable
from openbind.space.space import Space

FOLDER = ".openbind"
"""Name of the folder that an index is kept in, in the first of its roots. It is hidden, so no scan
goes there."""
ROWS, LOCK = "rows", "writer.lock"


@contextmanager
def writing_in(folder: Path) -> Iterator[None]:
    """Hold the lock of whoever writes into an index's folder; a killed process lets go of it.

    Raises:
        InputError: another process, or thread, holds it.
    """
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        reason = "another process is updating it; wait until that has ended"
        raise InputError(folder, reason) from error
    try:
        yield
    finally:
        lock.release()


class Store:
    """An index on the disk.

    Args:
        folder: where it is kept.
        table: its rows.
    """

    def __init__(self, folder: Path, table: RowTable) -> None:
        self.folder = folder
        self.table = table

    @property
    def meta(self) -> Meta:
        """What `index.json` says now: another process may have changed it."""
        return read_meta(self.folder)

    def write_meta(self, meta: Meta) -> None:
        """Replace what `index.json` says."""
        write_meta(self.folder, meta)

    def writing(self) -> AbstractContextManager[None]:
        """Hold the lock of whoever writes, as `writing_in`."""
        return writing_in(self.folder)

    def check_space(self, space: Space) -> None:
        """See that a space is the one that made the vectors.

        Raises:
            InputError: it is another one.
        """
        meta = self.meta
        if space.fingerprint != meta.fingerprint:
            raise InputError(
                self.folder,
                f"its vectors are of the space {meta.space!r} ({meta.dim} dimensions, fingerprint "
                f"{meta.fingerprint[:8]}), not of {space.name!r} ({space.dim} dimensions, "
                f"{space.fingerprint[:8]}): vectors of two spaces can't be compared. Load that "
                "one, or create another index",
            )
