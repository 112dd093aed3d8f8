"""The table of an index: its columns, its transactions, its filters.

LanceDB holds it: every write is a new version that is there whole or not at all, so a process may
be killed at any moment, and readers are never in the way of the writer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from openbind.errors import InputError, MissingExtraError

ROWS, FAILURES = "rows", "failures"
KEPT_VERSIONS = timedelta(minutes=10)
"""Versions that a reader may still hold; older ones leave the disk."""
BATCH_ROWS = 4096


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: a file, or a stretch of a long one. The fields are the columns, vector besides.

    Args:
        id: of the row; the file's key and the stretch's number.
        file: key of the file: its root and path.
        root: number of the root in `index.json`.
        path: below the root, with `/` between folders.
        modality: what the file is read as.
        segment, segments: number of the stretch, and how many the file has.
        start_s, end_s: of the stretch, in seconds; None for what doesn't last.
        hash: of the file's content.
        stat_key: size and times of the file when it was hashed; "" if it may have changed since
            without changing them.
        size: of the file in bytes.
        modified: when the file was changed.
        year: of the image's own date, else of `modified`.
        width, height: in pixels, where the file has any.
        duration: in seconds, where it lasts.
        thumbnail: a JPEG; only the first row of a file has it.
    """

    id: str
    file: str
    root: int
    path: str
    modality: str
    segment: int
    segments: int
    start_s: float | None
    end_s: float | None
    hash: str
    stat_key: str
    size: int
    modified: datetime
    year: int
    width: int | None
    height: int | None
    duration: float | None
    thumbnail: bytes | None


@dataclass(frozen=True, kw_only=True)
class FileState:
    """What the table knows of a file: one of `Row`'s or of the failures' rows, in short."""

    file: str
    path: str
    root: int
    modality: str
    hash: str
    stat_key: str


COLUMNS = tuple(field.name for field in fields(Row))
SHOWN = tuple(name for name in COLUMNS if name != "thumbnail")
"""Columns read with a hit; they are what `where` is documented to speak of."""


class RowTable:
    """The rows of an index, and the files that could not be embedded.

    Args:
        folder: of the database.
        dim: of the vectors.
        create: make empty tables in place of what may be there.

    Raises:
        MissingExtraError: LanceDB isn't there.
    """

    def __init__(self, folder: Path, dim: int, *, create: bool = False) -> None:
        try:
            import lancedb
        except ImportError as error:
            raise MissingExtraError("an index", "lancedb", "index") from error
        self.dim = dim
        # Zero: each read looks for a newer version first, so a service sees what an update wrote.
        database = lancedb.connect(str(folder), read_consistency_interval=timedelta(0))
        if create:
            # Left by a creation that was killed; nothing was ever in them.
            for name in (ROWS, FAILURES):
                database.drop_table(name, ignore_missing=True)
            self.rows = database.create_table(ROWS, schema=_schema(dim))
            self.failures = database.create_table(FAILURES, schema=_failure_schema())
        else:
            self.rows, self.failures = database.open_table(ROWS), database.open_table(FAILURES)

    def add(self, rows: Sequence[Row], vectors_KE: np.ndarray) -> None:
        """Append rows of files that aren't in the table, all of them or none."""
        if rows:
            with _writing():
                self.rows.add(self._arrow(rows, vectors_KE))

    def replace(self, files: Iterable[str], rows: Sequence[Row], vectors_KE: np.ndarray) -> None:
        """Put rows in the place of all that files have, in one transaction."""
        writer = self.rows.merge_insert("id").when_matched_update_all()
        writer = writer.when_not_matched_insert_all()
        writer = writer.when_not_matched_by_source_delete(one_of("file", files))
        with _writing():
            writer.execute(self._arrow(rows, vectors_KE))

    def remove(self, files: Sequence[str]) -> None:
        """Take all rows of files out, failures included."""
        for start in range(0, len(files), BATCH_ROWS):
            chosen = one_of("file", files[start : start + BATCH_ROWS])
            with _writing():
                self.rows.delete(chosen)
                self.failures.delete(chosen)

    def remove_rows(self, files: Sequence[str]) -> None:
        """Take the rows of files out, and leave what is known of failures."""
        if files:
            with _writing():
                self.rows.delete(one_of("file", files))

    def remove_root(self, number: int) -> int:
        """Take all files of a root out; returns how many rows left."""
        count: int = self.rows.count_rows(f"root = {number}")
        with _writing():
            self.rows.delete(f"root = {number}")
            self.failures.delete(f"root = {number}")
        return count

    def note_failures(self, failures: Sequence[tuple[FileState, str]]) -> None:
        """Remember files that can't be used, with the reason, in place of what was known."""
        if not failures:
            return
        writer = self.failures.merge_insert("file").when_matched_update_all()
        writer = writer.when_not_matched_insert_all()
        with _writing():
            writer.execute([{**asdict(state), "reason": reason} for state, reason in failures])

    def forget_failures(self, files: Sequence[str]) -> None:
        """Take out of the failures what could be used after all."""
        if files:
            with _writing():
                self.failures.delete(one_of("file", files))

    def files(self) -> dict[str, FileState]:
        """All files that have rows, by their key."""
        names = [field.name for field in fields(FileState)]
        firsts = self.batches(names, "segment = 0")
        found = [FileState(**row) for batch in firsts for row in batch.to_pylist()]
        return {state.file: state for state in found}

    def failed_files(self) -> dict[str, tuple[FileState, str]]:
        """All files that could not be used, with the reason, by their key."""
        found = {}
        for row in self.failures.search().to_arrow().to_pylist():
            reason = row.pop("reason")
            found[row["file"]] = (FileState(**row), reason)
        return found

    def batches(self, columns: Sequence[str], where: str | None = None) -> Iterator[Any]:
        """Read some columns of all rows, as Arrow's tables of a few rows each."""
        import pyarrow as pa

        query = self.rows.search().select(list(columns))
        for batch in (query.where(where) if where else query).to_batches(BATCH_ROWS):
            yield pa.Table.from_batches([batch])

    def read(self, where: str) -> tuple[list[Row], np.ndarray]:
        """Read whole rows, with their vectors (n, dim)."""
        found = self.rows.search().select([*COLUMNS, "vector"]).where(where).to_arrow()
        vectors_KE = vectors_of(found.column("vector"), self.dim)
        return [Row(**row) for row in found.select(COLUMNS).to_pylist()], vectors_KE

    def check_filter(self, where: str) -> None:
        """See that a filter can be used.

        Raises:
            InputError: it isn't SQL, or speaks of columns that aren't there.
        """
        try:
            self.rows.search().select(["id"]).where(where).limit(1).to_arrow()
        except (ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0].partition(" Valid fields")[0].partition(", /")[0]
            reason = reason.removeprefix("Invalid input, ").rstrip(".")
            raise InputError(
                where, f"can't filter by that: {reason}. Columns: {', '.join(SHOWN)}"
            ) from error

    def compact(self) -> None:
        """Join small pieces, bring indexes up to date, and drop what killed runs left."""
        # Only the writer calls this, under its lock: what isn't part of a version is a leftover.
        with _writing():
            for table in (self.rows, self.failures):
                table.optimize(cleanup_older_than=KEPT_VERSIONS, delete_unverified=True)

    def _arrow(self, rows: Sequence[Row], vectors_KE: np.ndarray) -> Any:
        import pyarrow as pa

        schema = _schema(self.dim)
        columns = {
            name: pa.array([getattr(row, name) for row in rows], schema.field(name).type)
            for name in COLUMNS
        }
        flat = np.ascontiguousarray(vectors_KE, np.float32).ravel()
        columns["vector"] = pa.FixedSizeListArray.from_arrays(flat, self.dim)
        return pa.table(columns, schema=schema)


def one_of(column: str, values: Iterable[str]) -> str:
    """Write the filter of some values of a column; of no value, one that nothing passes."""
    quoted = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    return f"{column} IN ({quoted})" if quoted else "false"


def vectors_of(column: Any, dim: int) -> np.ndarray:
    """Return a column of vectors as (n, dim) float32."""
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, np.float32).reshape(-1, dim)


@contextmanager
def _writing() -> Iterator[None]:
    """Turn LanceDB's errors of the disk into `OSError`."""
    try:
        yield
    except RuntimeError as error:
        if "LanceError(IO)" not in str(error):
            raise
        reason = str(error).partition("LanceError(IO): ")[2].partition(", /")[0]
        raise OSError(
            f"the index can't be written: {reason}. What was committed stays; when that is mended, "
            "`openbind index update` goes on from there"
        ) from error


def _schema(dim: int) -> Any:
    import pyarrow as pa

    # Strings of SQL are compared with these columns: their names and types are documented.
    kinds = {
        "root": pa.int16(),
        "segment": pa.int32(),
        "segments": pa.int32(),
        "start_s": pa.float32(),
        "end_s": pa.float32(),
        "size": pa.int64(),
        "modified": pa.timestamp("us", tz="UTC"),
        "year": pa.int16(),
        "width": pa.int32(),
        "height": pa.int32(),
        "duration": pa.float32(),
        "thumbnail": pa.binary(),
    }
    listed = [(name, kinds.get(name, pa.string())) for name in COLUMNS]
    return pa.schema([*listed, ("vector", pa.list_(pa.float32(), dim))])


def _failure_schema() -> Any:
    import pyarrow as pa

    names = [field.name for field in fields(FileState)]
    kinds = {"root": pa.int16()}
    listed = [(name, kinds.get(name, pa.string())) for name in names]
    return pa.schema([*listed, ("reason", pa.string())])
