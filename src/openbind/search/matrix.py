"""The rows of a small table in memory: exact search as fast as NumPy multiplies.

A matrix is of one version of its table. When the table has changed, only rows that the matrix
doesn't have yet are read; they are known by their checksums, which cover vectors and columns.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np

from openbind.search.cells import Cells
from openbind.search.columns import DIGEST, SHOWN, vectors_of
from openbind.search.versions import Versions
from openbind.space.vectors import unit_rows

MOST_ROWS = 100_000
"""Tables of more rows aren't kept: 400 MB at 1,024 dimensions."""
BATCH_ROWS = 4096
MOST_NEW = 0.5
"""Fraction of new rows from which on all are read, in one pass."""
TRIES = 5
"""Reads of a table that a writer keeps changing."""
KEPT_FILTERS, KEPT_NARROW = 32, 4
ROW_ID = "_rowid"
"""LanceDB's column of where a row lies in a version."""
NAMES = (*SHOWN, DIGEST, ROW_ID)
Rows = Callable[[int], list[dict[str, Any]]]
"""From a number to that many rows at most, the nearest first, with `score`."""


@dataclass(frozen=True)
class Matrix:
    """All rows of one version of a table.

    Args:
        version: of the table.
        rows: Arrow table of the columns of a hit, the checksum and `ROW_ID`.
        vectors_KE: unit rows.
        places: filter → places of the rows that pass it, of the last ones.
    """

    version: int
    rows: Any
    vectors_KE: np.ndarray
    places: dict[str, np.ndarray] = field(default_factory=dict)

    def top(
        self, scores_K: np.ndarray, count: int, places_P: np.ndarray | None = None
    ) -> list[dict[str, Any]]:
        """Return the rows of the highest scores.

        Args:
            scores_K: of all rows.
            count: number of rows at most.
            places_P: of the rows to choose from; None for all.

        Returns:
            columns by name with `score`, in descending order; ties in the table's order.
        """
        chosen_P = scores_K if places_P is None else scores_K[places_P]
        if count < len(chosen_P):
            best_T = np.argpartition(-chosen_P, count)[:count]
            best_T.sort()
        else:
            best_T = np.arange(len(chosen_P))
        best_T = best_T[(-chosen_P[best_T]).argsort(kind="stable")]
        found = self._cells.rows(best_T if places_P is None else places_P[best_T])
        for row, score in zip(found, chosen_P[best_T].tolist(), strict=True):
            row["score"] = score
        return found

    @cached_property
    def _cells(self) -> Cells:
        return Cells(self.rows, SHOWN)


class RowCache:
    """Keeps the matrix of a table; safe to use from several threads.

    Args:
        table: LanceDB's.
        versions: of the table.
    """

    def __init__(self, table: Any, versions: Versions) -> None:
        self._table, self._versions, self._lock = table, versions, threading.Lock()
        self._matrix: Matrix | None = None
        self._narrow: dict[str, Matrix] = {}

    def matrix(self) -> Matrix | None:
        """Return the rows of the table's present version.

        Returns:
            None if there are too many, or a writer changes them faster than they are read.
        """
        with self._lock:
            for _ in range(TRIES):
                version = self._versions.newest()
                if self._matrix is not None and self._matrix.version == version:
                    return self._matrix
                if self._table.count_rows() > MOST_ROWS:
                    self._matrix = None
                    return None
                self._matrix = _read(self._table, version, self._matrix)
                if self._versions.newest() != version:  # which version was read isn't known
                    self._matrix = Matrix(-1, self._matrix.rows, self._matrix.vectors_KE)
        return None

    def forget(self) -> None:
        """Free the memory of a table that has grown too large."""
        self._matrix = None

    def narrow(self, where: str) -> Matrix:
        """Return the rows that pass a filter, which are few; those of the last filters are kept.

        Args:
            where: SQL condition.
        """
        version, known = self._versions.newest(), self._narrow.get(where)
        if known is None or known.version != version:
            known = _read_all(self._table, version, where)
            kept = [*self._narrow.items()][1 - KEPT_NARROW :]
            self._narrow = {**dict(kept), where: known}
        return known

    def places(self, matrix: Matrix, where: str) -> np.ndarray | None:
        """Return the places of the rows that pass a filter, in ascending order.

        Args:
            matrix: from `matrix`.
            where: SQL condition.

        Returns:
            None if the table has changed meanwhile.
        """
        known = matrix.places.get(where)
        if known is None:
            found = self._table.search().select([ROW_ID]).where(where).to_arrow()
            if self._versions.newest() != matrix.version:
                return None
            passing = found.column(ROW_ID).to_numpy()
            known = np.flatnonzero(np.isin(matrix.rows.column(ROW_ID).to_numpy(), passing))
            while len(matrix.places) >= KEPT_FILTERS:
                matrix.places.pop(next(iter(matrix.places)), None)
            matrix.places[where] = known
        return known


class KeptQuery:
    """A query of the rows in memory; all its filters share one product.

    Args:
        cache: of a table.
        query_E: (dim,), not zero.
    """

    def __init__(self, cache: RowCache, query_E: np.ndarray) -> None:
        self.cache, self.query_E = cache, unit_rows(query_E)
        self._scores: tuple[int, np.ndarray] | None = None

    def rows(self, where: str | None) -> Rows | None:
        """Return a function from a number of rows to the nearest ones.

        Args:
            where: SQL condition on the rows; None for all.

        Returns:
            None if the table isn't kept.
        """
        matrix = self.cache.matrix()
        if matrix is None:
            return None
        places_P = None if where is None else self.cache.places(matrix, where)
        if where is not None and places_P is None:
            return None
        if self._scores is None or self._scores[0] != matrix.version:
            self._scores = (matrix.version, matrix.vectors_KE @ self.query_E)
        return partial(matrix.top, self._scores[1], places_P=places_P)


def _read(table: Any, version: int, known: Matrix | None) -> Matrix:
    """Read a table, except for the vectors of rows that a matrix has."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if known is None or not len(known.vectors_KE):
        return _read_all(table, version)
    rows = table.search().select(list(NAMES)).to_arrow().combine_chunks()
    at = pc.index_in(rows.column(DIGEST), known.rows.column(DIGEST).combine_chunks())
    old_K = at.is_valid().to_numpy()
    if (~old_K).sum() > MOST_NEW * max(1, len(old_K)):
        return _read_all(table, version)
    dim = known.vectors_KE.shape[1]
    vectors_KE = np.empty((len(old_K), dim), np.float32)
    vectors_KE[old_K] = known.vectors_KE[at.drop_null().to_numpy()]
    wanted = rows.column(ROW_ID).to_numpy()[~old_K].tolist()
    if wanted:
        found = table.take_row_ids(wanted).select([DIGEST, "vector"]).to_arrow()
        order = pc.index_in(rows.column(DIGEST).filter(pa.array(~old_K)), found.column(DIGEST))
        if order.null_count:  # deleted meanwhile
            return _read_all(table, version)
        new_NE = unit_rows(vectors_of(found.column("vector"), dim))
        vectors_KE[~old_K] = new_NE[order.to_numpy()]
    return Matrix(version, rows, vectors_KE)


def _read_all(table: Any, version: int, where: str | None = None) -> Matrix:
    """Read a table, or the rows of it that pass a filter."""
    import pyarrow as pa

    dim = table.schema.field("vector").type.list_size
    query = table.search().select([*NAMES, "vector"])
    batches = (query.where(where) if where else query).to_batches(BATCH_ROWS)
    parts, vectors = [batches.schema.empty_table().select(NAMES)], [np.zeros((0, dim), np.float32)]
    for batch in batches:
        part = pa.Table.from_batches([batch])
        vectors.append(unit_rows(vectors_of(part.column("vector"), dim)))
        parts.append(part.select(NAMES))
    return Matrix(version, pa.concat_tables(parts).combine_chunks(), np.concatenate(vectors))
