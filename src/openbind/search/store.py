"""The files of an index: its table, its description, and the lock of its writer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from openbind.errors import InputError
from openbind.search.meta import Meta, read_meta, write_meta
from openbind.search.results import Info
from openbind.search.table import RowTable, one_of
from openbind.space.space import Space

FOLDER = ".openbind"
"""Default folder of an index, in its first root; hidden, so scans skip it."""
ROWS, LOCK = "rows", "writer.lock"


@contextmanager
def writing_in(folder: Path) -> Iterator[None]:
    """Hold the writer's lock of an index's folder; it is released when the process is killed.

    Raises:
        InputError: another process, or thread, holds it.
    """
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError(folder, "another process is updating it; wait until it ends") from error
    try:
        yield
    finally:
        lock.release()


class Store:
    """An index on disk.

    Args:
        folder: where it is stored.
        table: its rows.
    """

    def __init__(self, folder: Path, table: RowTable) -> None:
        self.folder = folder
        self.table = table

    @property
    def meta(self) -> Meta:
        """The current content of `index.json`, which another process may have changed."""
        return read_meta(self.folder)

    def write_meta(self, meta: Meta) -> None:
        """Replace `index.json`."""
        write_meta(self.folder, meta)

    def writing(self) -> AbstractContextManager[None]:
        """Hold the writer's lock, as `writing_in`."""
        return writing_in(self.folder)

    def check_space(self, space: Space, *, complete: bool = False) -> None:
        """Check that a space embeds as the one that the index was created with.

        Args:
            space: some or all of the index's modalities; only these are compared.
            complete: require all of them.

        Raises:
            InputError: another space, or a modality is missing.
        """
        meta = self.meta
        missing = set(meta.identities) - set(space.modalities) if complete else set()
        if missing:
            raise InputError(space.name, f"loaded without {', '.join(sorted(missing))}; load all")
        if any(space.identity(name) != meta.identities.get(name) for name in space.modalities):
            raise InputError(
                self.folder,
                f"its vectors are of the space {meta.space!r} ({meta.dim} dimensions, fingerprint "
                f"{meta.fingerprint[:8]}), not of {space.name!r} ({space.dim} dimensions, "
                f"{space.fingerprint[:8]}): vectors of two spaces can't be compared. Load that "
                "space, or create another index",
            )

    @property
    def rows(self) -> int:
        """Number of rows."""
        count: int = self.table.rows.count_rows()
        return count

    def info(self) -> Info:
        """Return counts of files and rows by modality, and sizes."""
        meta = self.meta
        counts = {
            name: self.table.rows.count_rows(f"segment = 0 AND {one_of('modality', [name])}")
            for name in meta.modalities
        }
        by_modality = {name: count for name, count in counts.items() if count}
        return Info(
            space=meta.space,
            fingerprint=meta.fingerprint,
            dim=meta.dim,
            roots=tuple(root.path for root in meta.roots),
            rows=self.rows,
            files=sum(by_modality.values()),
            failed=self.table.failures.count_rows(),
            bytes=sum(map(_size_of, self.folder.rglob("*"))),
            by_modality=by_modality,
            ann=str(meta.ann) if meta.ann else None,
            type_overrides={o.pattern: o.notation for o in meta.type_overrides},
            summary=meta.summary,
        )


def _size_of(path: Path) -> int:
    """Return a file's size; 0 for folders, and for files that a writer has just deleted."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0
