"""Nearest rows: every row compared while there are few, the store's approximate index after."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from openbind.search.table import SHOWN, RowTable, vectors_of
from openbind.space.pipeline import unit_rows

EXACT_ROWS = 20_000
"""Up to as many rows every one is compared (benchmarks/index.py)."""
RECALL = 0.97
"""Share of the exact ten nearest that has to be found before an approximate index is used; more
than the 0.95 that is promised, since it is measured on a sample."""
PROBES = (8, 16, 32, 64, 128, 256)
"""Numbers of partitions looked into, tried in this order."""
REFINE = 10
"""Candidates for each row asked for, compared again by their whole vectors."""
QUERIES = 128
TOP = 10
KIND = "IVF_SQ"
"""Partitions of vectors in a byte a dimension; candidates are compared again in full."""
GROWN = 2.0
"""An index is retrained when the table has grown by this."""


@dataclass(frozen=True, kw_only=True)
class Ann:
    """An approximate index, and what it takes to be good enough.

    Args:
        kind: LanceDB's name.
        rows: when it was trained.
        probes: partitions looked into.
        recall: share of the exact ten nearest that was found.
    """

    kind: str
    rows: int
    probes: int
    recall: float

    def __str__(self) -> str:
        return f"{self.kind}, {self.probes} probes, recall@{TOP} {self.recall:.3f} when built"


def search_rows(
    table: RowTable, query_E: np.ndarray, count: int, where: str | None, ann: Ann | None
) -> list[dict[str, Any]]:
    """Find the nearest rows, one a file.

    Args:
        table: of an index.
        query_E: (dim,).
        count: how many at most.
        where: a filter that was checked.
        ann: None compares every row.

    Returns:
        columns by name with `score`, the cosine; the nearest first.
    """
    # Few rows pass a narrow filter, and those may lie in no partition that is looked into.
    if ann and where and table.rows.count_rows(where) <= EXACT_ROWS:
        ann = None
    limit = count
    while True:
        rows = _nearest(table, query_E, limit, where, ann, [*SHOWN, "_distance"]).to_pylist()
        best: dict[str, dict[str, Any]] = {}
        for row in rows:
            best.setdefault(row["file"], {**row, "score": 1.0 - row["_distance"]})
        if len(best) >= count or len(rows) < limit:
            return list(best.values())[:count]
        limit *= 4


def build_ann(table: RowTable, known: Ann | None) -> Ann | None:
    """Train the approximate index of a large table, or leave it, or leave it to exact search.

    Args:
        table: of an index; its writer's lock is held.
        known: what was built before.

    Returns:
        what to search with; None where every row is to be compared: there are few, or the
        approximate index misses too much.
    """
    rows = table.rows.count_rows()
    if rows <= EXACT_ROWS:
        return None
    if known and rows < GROWN * known.rows:
        return known
    from lancedb.index import BTree, IvfSq

    table.rows.create_index("vector", config=IvfSq(distance_type="cosine"))
    for column in ("id", "file"):
        table.rows.create_index(column, config=BTree())
    return _calibrate(table, rows)


def _calibrate(table: RowTable, rows: int) -> Ann | None:
    """Find how many partitions have to be looked into; None if all that is tried misses too much.

    Asked are rows of the table and sums of two, as queries of several parts are.
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
        query = query.where(where)  # before the nearest are looked for, LanceDB's default
    if ann is None:
        return query.bypass_vector_index().to_arrow()
    return query.nprobes(ann.probes).refine_factor(REFINE).to_arrow()
