"""Nearest rows: exact search for small tables, LanceDB's approximate index for large ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

import numpy as np

from openbind.configs import Range
from openbind.search.columns import DIGEST, SHOWN, vectors_of
from openbind.search.matrix import MOST_ROWS, KeptQuery, Rows
from openbind.search.table import RowTable
from openbind.space.vectors import unit_rows

EXACT_ROWS = MOST_ROWS
"""Tables of at most this many rows are searched exactly (benchmarks/index.py)."""
NARROW_ROWS = 5_000
"""Of a larger table, rows that pass a filter are read and compared if they are at most so many."""
RECALL = 0.98
"""Recall@10 from which on an approximate index is used; more than the documented 0.97, since it is
measured on a sample, of queries that are rows themselves."""
WIDE = 0.1
"""Fraction of the rows that pass a wide filter."""
PROBES = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Numbers of partitions to search, tried in this order."""
REFINE = 10
"""Candidates per result that are compared again by their full vectors."""
MAX_RESULTS = 1_000_000
QUERIES = 64
TOP = 10
KINDS = {"IVF_RQ": "IvfRq", "IVF_SQ": "IvfSq"}
"""Kinds of indexes, tried in this order, and LanceDB's classes of them: partitions of vectors
quantized to one bit per dimension (RaBitQ), or to one byte, for those of few dimensions
(benchmarks/search_scale.py)."""
GROWN = 2.0
"""An index is retrained when the table has grown by this factor."""


@dataclass(frozen=True, kw_only=True)
class Ann:
    """An approximate index and its calibration.

    Args:
        kind: LanceDB's name.
        rows: of the table when it was trained.
        probes: partitions searched per query.
        recall: recall@10 against exact search when it was trained.
        filtered_probes: partitions searched with a filter, of whose rows fewer are near a query;
            0 if filtered rows are compared one by one.
    """

    kind: str
    rows: Annotated[int, Range(0, 1 << 40)]
    probes: Annotated[int, Range(1, 65_536)]
    recall: Annotated[float, Range(0, 1)]
    filtered_probes: Annotated[int, Range(0, 65_536)] = 0

    def __str__(self) -> str:
        return f"{self.kind}, {self.probes} probes, recall@{TOP} {self.recall:.3f} when built"


class Nearest:
    """The rows nearest to a query.

    Args:
        table: of an index.
        query_E: (dim,), not zero.
        ann: None compares every row: of a small table in memory, in which all filters of the query
            share one product.
    """

    def __init__(self, table: RowTable, query_E: np.ndarray, ann: Ann | None) -> None:
        self.table, self.query_E, self.ann = table, query_E, ann
        self._kept = KeptQuery(table.cache, query_E)

    def files(self, count: int, where: str | None) -> list[dict[str, Any]]:
        """Return the nearest rows, one per file.

        Args:
            count: number of files at most.
            where: SQL condition on the rows; None for all.

        Returns:
            columns by name with `score`, the cosine, in descending order.
        """
        rows = self._search(where)
        count = limit = min(count, MAX_RESULTS)
        while True:
            found = rows(limit)
            best: dict[str, dict[str, Any]] = {}
            for row in found:
                best.setdefault(row["file"], row)
            if len(best) >= count or len(found) < limit or limit == MAX_RESULTS:
                return list(best.values())[:count]
            limit = min(4 * limit, MAX_RESULTS)

    def _search(self, where: str | None) -> Rows:
        """Return the fitting way to search: in memory, in what a filter leaves, or in the table."""
        ann, table = self.ann, self.table
        if ann:
            table.cache.forget()
        kept = None if ann else self._kept.rows(where)
        if kept is not None:
            return kept
        # The few rows that pass a narrow filter may all lie in partitions that aren't searched.
        if where and table.rows.count_rows(where) <= NARROW_ROWS:
            matrix = table.cache.narrow(where)
            return partial(matrix.top, matrix.vectors_KE @ self._kept.query_E)
        if ann and where:
            ann = replace(ann, probes=ann.filtered_probes) if ann.filtered_probes else None
        return partial(_table_rows, table, self.query_E, where, ann)


def build_ann(table: RowTable, known: Ann | None) -> Ann | None:
    """Train the approximate index of a large table, unless it has a recent one.

    Args:
        table: of an index; its writer's lock is held.
        known: the index trained before.

    Returns:
        what to search with; None for exact search: the table is small, or the approximate index
        has too low a recall.
    """
    rows = table.rows.count_rows()
    if rows <= EXACT_ROWS:
        return None
    if known and rows < GROWN * known.rows:
        return known
    from lancedb import index as kinds

    for column in ("id", "file"):
        table.rows.create_index(column, config=kinds.BTree())
    table.rows.create_index("modality", config=kinds.Bitmap())
    for kind, name in KINDS.items():
        settings = getattr(kinds, name)(distance_type="cosine")
        table.rows.create_index("vector", config=settings)
        if ann := _calibrate(table, kind, rows):
            return ann
    return None


def _calibrate(table: RowTable, kind: str, rows: int) -> Ann | None:
    """Choose the numbers of partitions to search; None if the recall stays too low.

    Queries are rows of the table and sums of two, as queries of several terms are. Filters are
    the narrowest that isn't searched exactly, and a wide one: of what passes a narrow one, LanceDB
    searches more partitions by itself.
    """
    rng = np.random.default_rng(0)
    drawn = rng.choice(rows, min(2 * QUERIES, rows), replace=False)
    taken = table.rows.take_offsets(sorted(map(int, drawn))).select(["vector"]).to_arrow()
    vectors_KE = rng.permutation(vectors_of(taken.column("vector"), table.dim))
    half = len(vectors_KE) // 2
    sums_QE = unit_rows(vectors_KE[:half] + vectors_KE[half : 2 * half])
    queries_QE = np.concatenate([vectors_KE[: QUERIES // 2], sums_QE[: QUERIES // 2]])
    chosen = _choose_probes(table, queries_QE, None)
    if chosen is None:
        return None
    filtered = []
    for fraction in {min(1.0, NARROW_ROWS / rows), WIDE}:
        # Checksums are spread evenly over their hexadecimal digits.
        where = f"{DIGEST} < '{int(fraction * 0xFFFFFFFF):08x}'"
        filtered.append(_choose_probes(table, queries_QE, where))
    return Ann(
        kind=kind,
        rows=rows,
        probes=chosen[0],
        recall=chosen[1],
        filtered_probes=0 if None in filtered else max(each[0] for each in filtered if each),
    )


def _choose_probes(
    table: RowTable, queries_QE: np.ndarray, where: str | None
) -> tuple[int, float] | None:
    """Return the least number of partitions that finds enough, and its recall."""
    expected, before = _exact_ids(table, queries_QE, where), 0.0
    for probes in PROBES:
        ann = Ann(kind="", rows=0, probes=probes, recall=0.0)
        found = [_ids(table, query_E, ann, where) for query_E in queries_QE]
        pairs = zip(found, expected, strict=True)
        recall = float(np.mean([len(a & b) / max(len(b), 1) for a, b in pairs]))
        if recall >= RECALL:
            return probes, recall
        if recall <= before:  # what is lost isn't in other partitions
            return None
        before = recall
    return None


def _ids(table: RowTable, query_E: np.ndarray, ann: Ann, where: str | None) -> set[str]:
    found = _nearest(table, query_E, TOP, where, ann, ["id", "_distance"])
    return set(found.column("id").to_pylist())


def _exact_ids(table: RowTable, queries_QE: np.ndarray, where: str | None) -> list[set[str]]:
    """Return the ids of the rows nearest to each query; all are found in one pass."""
    best_QT = np.empty((len(queries_QE), 0), np.float32)
    ids_QT = np.empty((len(queries_QE), 0), object)
    for batch in table.batches(["id", "vector"], where):
        ids_B = np.array(batch.column("id").to_pylist(), object)
        scores_QB = queries_QE @ unit_rows(vectors_of(batch.column("vector"), table.dim)).T
        own_QT = _top(scores_QB)
        best_QT = np.hstack([best_QT, np.take_along_axis(scores_QB, own_QT, 1)])
        ids_QT = np.hstack([ids_QT, ids_B[own_QT]])
        kept_QT = _top(best_QT)
        best_QT = np.take_along_axis(best_QT, kept_QT, 1)
        ids_QT = np.take_along_axis(ids_QT, kept_QT, 1)
    return [set(row) for row in ids_QT]


def _top(scores_QK: np.ndarray) -> np.ndarray:
    """Return the places of the highest scores in each row, in any order."""
    if scores_QK.shape[1] <= TOP:
        return np.tile(np.arange(scores_QK.shape[1]), (len(scores_QK), 1))
    return np.argpartition(-scores_QK, TOP, axis=1)[:, :TOP]


def _table_rows(
    table: RowTable, query_E: np.ndarray, where: str | None, ann: Ann | None, count: int
) -> list[dict[str, Any]]:
    columns = [*SHOWN, "_distance"]
    found = _nearest(table, query_E, count, where, ann, columns).to_pylist()
    return [{**row, "score": 1.0 - row.pop("_distance")} for row in found]


def _nearest(
    table: RowTable,
    query_E: np.ndarray,
    count: int,
    where: str | None,
    ann: Ann | None,
    columns: list[str],
) -> Any:
    query = table.rows.search(query_E).distance_type("cosine").select(columns).limit(count)
    if where:
        query = query.where(where)  # LanceDB filters before it searches
    if ann is None:
        return query.bypass_vector_index().to_arrow()
    return query.nprobes(ann.probes).refine_factor(REFINE).to_arrow()
