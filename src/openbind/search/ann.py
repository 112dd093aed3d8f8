"""Nearest rows: exact search for small tables, LanceDB's approximate index for large ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np

from openbind.configs import Range
from openbind.search.columns import SHOWN
from openbind.search.table import RowTable, vectors_of
from openbind.space.vectors import unit_rows

EXACT_ROWS = 20_000
"""Tables of at most this many rows are searched exactly (benchmarks/index.py)."""
RECALL = 0.97
"""Recall@10 from which on an approximate index is used; more than the documented 0.95, since it is
measured on a sample."""
PROBES = (8, 16, 32, 64, 128, 256)
"""Numbers of partitions to search, tried in this order."""
REFINE = 10
"""Candidates per result that are compared again by their full vectors."""
MAX_RESULTS = 1_000_000
QUERIES = 128
TOP = 10
KIND = "IVF_SQ"
"""Partitions of vectors quantized to one byte per dimension."""
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
    """

    kind: str
    rows: Annotated[int, Range(0, 1 << 40)]
    probes: Annotated[int, Range(1, 65_536)]
    recall: Annotated[float, Range(0, 1)]

    def __str__(self) -> str:
        return f"{self.kind}, {self.probes} probes, recall@{TOP} {self.recall:.3f} when built"


def search_rows(
    table: RowTable, query_E: np.ndarray, count: int, where: str | None, ann: Ann | None
) -> list[dict[str, Any]]:
    """Return the nearest rows, one per file.

    Args:
        table: of an index.
        query_E: (dim,).
        count: number of files at most.
        where: SQL condition on the rows; None for all.
        ann: None compares every row.

    Returns:
        columns by name with `score`, the cosine, in descending order.
    """
    # The few rows that pass a narrow filter may all lie in partitions that aren't searched.
    if ann and where and table.rows.count_rows(where) <= EXACT_ROWS:
        ann = None
    count = limit = min(count, MAX_RESULTS)
    while True:
        rows = _nearest(table, query_E, limit, where, ann, [*SHOWN, "_distance"]).to_pylist()
        best: dict[str, dict[str, Any]] = {}
        for row in rows:
            best.setdefault(row["file"], {**row, "score": 1.0 - row["_distance"]})
        if len(best) >= count or len(rows) < limit or limit == MAX_RESULTS:
            return list(best.values())[:count]
        limit = min(4 * limit, MAX_RESULTS)


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
    from lancedb.index import Bitmap, BTree, IvfSq

    table.rows.create_index("vector", config=IvfSq(distance_type="cosine"))
    for column in ("id", "file"):
        table.rows.create_index(column, config=BTree())
    table.rows.create_index("modality", config=Bitmap())
    return _calibrate(table, rows)


def _calibrate(table: RowTable, rows: int) -> Ann | None:
    """Choose the number of partitions to search; None if the recall stays too low.

    Queries are rows of the table and sums of two, as queries of several terms are.
    """
    rng = np.random.default_rng(0)
    drawn = rng.choice(rows, min(2 * QUERIES, rows), replace=False)
    taken = table.rows.take_offsets(sorted(map(int, drawn))).select(["vector"]).to_arrow()
    vectors_KE = rng.permutation(vectors_of(taken.column("vector"), table.dim))
    half = len(vectors_KE) // 2
    sums_QE = unit_rows(vectors_KE[:half] + vectors_KE[half : 2 * half])
    queries_QE = np.concatenate([vectors_KE[: QUERIES // 2], sums_QE[: QUERIES // 2]])
    expected = [_ids(table, query_E, None) for query_E in queries_QE]
    for probes in PROBES:
        ann = Ann(kind=KIND, rows=rows, probes=probes, recall=0.0)
        found = [_ids(table, query_E, ann) for query_E in queries_QE]
        pairs = zip(found, expected, strict=True)
        recall = float(np.mean([len(a & b) / max(len(b), 1) for a, b in pairs]))
        if recall >= RECALL:
            return replace(ann, recall=recall)
    return None


def _ids(table: RowTable, query_E: np.ndarray, ann: Ann | None) -> set[str]:
    found = _nearest(table, query_E, TOP, None, ann, ["id", "_distance"])
    return set(found.column("id").to_pylist())


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
