"""The LanceDB table of an index: its columns, transactions and filters.

Every write is a new version, visible completely or not at all, so a process may be killed at any
moment and readers never wait for the writer.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import timedelta
from typing import Any

import numpy as np

from openbind.errors import InputError, MissingExtraError, OpenbindError
from openbind.search.columns import (
    COLUMNS,
    DIGEST,
    DIGEST_BYTES,
    FileState,
    Row,
    failure_schema,
    row_schema,
    vectors_of,
)
from openbind.search.matrix import RowCache
from openbind.search.versions import Versions

ROWS, FAILURES = "rows", "failures"
KEPT_VERSIONS = timedelta(minutes=10)
"""Age of versions that a reader may still hold; older ones are deleted from the disk."""
BATCH_ROWS = 4096
KEPT_COUNTS = 32
"""Filters whose numbers of rows are remembered."""


class DamagedTableError(InputError):
    """The tables of an index are missing, or can't be read."""


class RowTable:
    """The rows of an index, and the files that could not be embedded.

    Args:
        address: of the database: a folder, or s3://bucket/prefix.
        dim: of the vectors.
        create: create empty tables, replacing existing ones.
        refresh: after which reads ask for a newer version; none sees every change.

    Raises:
        DamagedTableError: the tables are missing or damaged.
        InputError: their vectors have another length.
        MissingExtraError: LanceDB isn't installed.
    """

    def __init__(
        self,
        address: str | os.PathLike[str],
        dim: int,
        *,
        create: bool = False,
        refresh: timedelta = timedelta(0),
    ) -> None:
        try:
            import lancedb
        except ImportError as error:
            raise MissingExtraError("an index", "lancedb", "index") from error
        self.address, self.dim = os.fspath(address), dim
        self._counts: dict[tuple[int, str | None], dict[str, int]] = {}
        self._files: dict[tuple[int, str | None], dict[str, int]] = {}
        # A service sees the rows of another process's update.
        database = lancedb.connect(self.address, read_consistency_interval=refresh)
        if create:
            # Left by a creation that was killed; they are empty.
            for name in (ROWS, FAILURES):
                database.drop_table(name, ignore_missing=True)
            self.rows = database.create_table(ROWS, schema=row_schema(dim))
            self.failures = database.create_table(FAILURES, schema=failure_schema())
        else:
            with reading(self.address):
                self.rows, self.failures = database.open_table(ROWS), database.open_table(FAILURES)
                found = self.rows.schema.field("vector").type.list_size
            if found != dim:
                raise InputError(address, f"has vectors of {found} numbers, expected {dim}")
        self.versions = Versions(self.rows, f"{self.address}/{ROWS}.lance")
        self.cache = RowCache(self.rows, self.versions)

    def add(self, rows: Sequence[Row], vectors_KE: np.ndarray) -> None:
        """Append rows of files that have none, in one transaction."""
        if rows:
            with _writing():
                self.rows.add(self._arrow(rows, vectors_KE))

    def replace(self, files: Iterable[str], rows: Sequence[Row], vectors_KE: np.ndarray) -> None:
        """Replace all rows of some files, in one transaction."""
        writer = self.rows.merge_insert("id").when_matched_update_all()
        writer = writer.when_not_matched_insert_all()
        writer = writer.when_not_matched_by_source_delete(one_of("file", files))
        with _writing():
            writer.execute(self._arrow(rows, vectors_KE))

    def remove(self, files: Sequence[str]) -> None:
        """Delete all rows of files, and their failures."""
        for start in range(0, len(files), BATCH_ROWS):
            chosen = one_of("file", files[start : start + BATCH_ROWS])
            with _writing():
                self.rows.delete(chosen)
                self.failures.delete(chosen)

    def remove_rows(self, files: Sequence[str]) -> None:
        """Delete the rows of files, and keep their failures."""
        if files:
            with _writing():
                self.rows.delete(one_of("file", files))

    def remove_root(self, number: int) -> int:
        """Delete all files of a root; returns the number of rows deleted."""
        count: int = self.rows.count_rows(f"root = {number}")
        with _writing():
            self.rows.delete(f"root = {number}")
            self.failures.delete(f"root = {number}")
        return count

    def note_failures(self, failures: Sequence[tuple[FileState, str]]) -> None:
        """Record files that can't be embedded, with the reason, replacing earlier failures."""
        if not failures:
            return
        writer = self.failures.merge_insert("file").when_matched_update_all()
        writer = writer.when_not_matched_insert_all()
        with _writing():
            writer.execute([{**asdict(state), "reason": reason} for state, reason in failures])

    def forget_failures(self, files: Sequence[str]) -> None:
        """Delete the failures of files that could be embedded since."""
        if files:
            with _writing():
                self.failures.delete(one_of("file", files))

    def vectors(self, row_ids: Sequence[str]) -> np.ndarray:
        """Return the vectors of rows, (n, dim), in the order of their ids.

        Raises:
            InputError: no such row.
        """
        return self.embedded(row_ids)[1]

    def embedded(self, row_ids: Sequence[str]) -> tuple[list[str], np.ndarray]:
        """Return the modalities of rows, and their vectors (n, dim), in the order of their ids.

        Raises:
            InputError: no such row.
        """
        query = self.rows.search().select(["id", "modality", "vector"])
        query = query.where(one_of("id", row_ids))
        with reading(self.address):
            found = query.limit(max(1, len(set(row_ids)))).to_arrow()
        known = {row_id: at for at, row_id in enumerate(found.column("id").to_pylist())}
        for row_id in row_ids:
            if row_id not in known:
                raise InputError(row_id, "no such row in the index; it may have been deleted")
        places, modalities = [known[row_id] for row_id in row_ids], found.column("modality")
        vectors_KE = vectors_of(found.column("vector"), self.dim)
        return [modalities[place].as_py() for place in places], vectors_KE[places]

    def files(self) -> dict[str, FileState]:
        """Return the files that have rows, by key."""
        names = [field.name for field in fields(FileState)]
        firsts = self.batches(names, "segment = 0")
        found = [FileState(**row) for batch in firsts for row in batch.to_pylist()]
        return {state.file: state for state in found}

    def failed_files(self) -> dict[str, tuple[FileState, str]]:
        """Return the files that could not be embedded, with the reason, by key."""
        found = {}
        with reading(self.address):
            rows = self.failures.search().to_arrow().to_pylist()
        for row in rows:
            reason = row.pop("reason")
            found[row["file"]] = (FileState(**row), reason)
        return found

    def batches(self, columns: Sequence[str], where: str | None = None) -> Iterator[Any]:
        """Yield some columns of all rows, as Arrow tables of at most `BATCH_ROWS` rows."""
        import pyarrow as pa

        query = self.rows.search().select(list(columns))
        query = query.where(where) if where else query
        with reading(self.address):
            batches = iter(query.to_batches(BATCH_ROWS))
        while True:
            with reading(self.address):
                batch = next(batches, None)
            if batch is None:
                return
            yield pa.Table.from_batches([batch])

    def count_by_modality(self, where: str | None) -> dict[str, int]:
        """Return the number of rows of each modality, remembered until the rows change.

        Args:
            where: SQL condition on the rows; None for all.
        """
        key = (self.versions.newest(), where)
        if key not in self._counts:
            batches = self.batches(["modality"], where)
            counts = Counter(name for b in batches for name in b.column("modality").to_pylist())
            self._counts = {**dict([*self._counts.items()][1 - KEPT_COUNTS :]), key: dict(counts)}
        return self._counts[key]

    def count_files(self, where: str | None) -> dict[str, int]:
        """Return the number of files of each modality, remembered until the rows change.

        Args:
            where: SQL condition on the rows; None for all.
        """
        key = (self.versions.newest(), where)
        if key not in self._files:
            found: dict[str, set[str]] = {}
            for batch in self.batches(["modality", "file"], where):
                columns = (batch.column(name).to_pylist() for name in ("modality", "file"))
                for modality, file in zip(*columns, strict=True):
                    found.setdefault(modality, set()).add(file)
            counts = {modality: len(files) for modality, files in sorted(found.items())}
            self._files = {**dict([*self._files.items()][1 - KEPT_COUNTS :]), key: counts}
        return self._files[key]

    def read(self, where: str) -> tuple[list[Row], np.ndarray]:
        """Return whole rows and their vectors (n, dim)."""
        with reading(self.address):
            found = self.rows.search().select([*COLUMNS, "vector"]).where(where).to_arrow()
        vectors_KE = vectors_of(found.column("vector"), self.dim)
        return [Row(**row) for row in found.select(COLUMNS).to_pylist()], vectors_KE

    def compact(self) -> None:
        """Merge small fragments, update indexes, and delete what killed runs left behind."""
        # Only the writer calls this, under its lock: files of no version are leftovers.
        with _writing():
            for table in (self.rows, self.failures):
                table.optimize(cleanup_older_than=KEPT_VERSIONS, delete_unverified=True)

    def _arrow(self, rows: Sequence[Row], vectors_KE: np.ndarray) -> Any:
        import pyarrow as pa

        schema = row_schema(self.dim)
        columns = {
            name: pa.array([getattr(row, name) for row in rows], schema.field(name).type)
            for name in COLUMNS
        }
        flat = np.ascontiguousarray(vectors_KE, np.float32).ravel()
        columns["vector"] = pa.FixedSizeListArray.from_arrays(flat, self.dim)
        columns[DIGEST] = pa.array(digests_of(pa.table(columns)), pa.string())
        return pa.table(columns, schema=schema)


def one_of(column: str, values: Iterable[str]) -> str:
    """Return the SQL condition that a column has one of some values; "false" for no values."""
    quoted = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    return f"{column} IN ({quoted})" if quoted else "false"


@contextmanager
def reading(place: object) -> Iterator[None]:
    """Turn what LanceDB raises about damaged files into `DamagedTableError`, panics of Rust too."""
    try:
        yield
    except (OpenbindError, OSError, GeneratorExit, KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:
        found = _first_line(error).partition(", /")[0]  # without the place in LanceDB's code
        reason = f"the index's tables are missing or damaged ({found})"
        advice = "`openbind index verify --repair` embeds the files again"
        raise DamagedTableError(str(place), f"{reason}; {advice}") from error


def digests_of(rows: Any) -> list[str]:
    """Return the checksum of each row of an Arrow table with the columns of `Row` and `vector`."""
    import pyarrow as pa

    columns = []
    for name in COLUMNS:
        values = rows.column(name)
        is_date = pa.types.is_timestamp(values.type)
        columns.append((values.cast(pa.int64()) if is_date else values).to_pylist())
    dim = rows.schema.field("vector").type.list_size
    vectors_KE = vectors_of(rows.column("vector"), dim)
    return [
        hashlib.blake2b(
            repr(values).encode() + vector_E.tobytes(), digest_size=DIGEST_BYTES
        ).hexdigest()
        for vector_E, values in zip(vectors_KE, zip(*columns, strict=True), strict=True)
    ]


@contextmanager
def _writing() -> Iterator[None]:
    """Turn LanceDB's I/O errors into `OSError`."""
    try:
        yield
    except RuntimeError as error:
        if "LanceError(IO)" not in str(error):
            raise
        reason = str(error).partition("LanceError(IO): ")[2].partition(", /")[0]
        raise OSError(
            f"the index can't be written: {reason}. Committed rows are kept; run "
            "`openbind index update` to continue"
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0]
