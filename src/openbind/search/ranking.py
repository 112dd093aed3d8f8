"""Results of several modalities in one order: by how far they exceed unrelated items."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from openbind.space.calibration import Unrelated

Row = dict[str, Any]
"""Columns of a row by name."""


def rank_rows(
    search: Callable[[str | None], list[Row]],
    counts: Mapping[str, int],
    count: int,
    unrelated: Mapping[str, Unrelated],
) -> list[Row]:
    """Search an index, and rank the rows found.

    Args:
        search: returns the nearest rows of one modality, or of all for None, with `score`, the
            cosine, and `file`.
        counts: modality → number of rows that are searched.
        count: number of files at most.
        unrelated: modality → cosines of unrelated items with the query. If one of the searched
            modalities is missing, rows are ranked by cosine.

    Returns:
        rows with `deviations` and `close`, see `openbind.search.query.Found`; best first, one for
        each file.
    """
    several = len(counts) > 1 and counts.keys() <= unrelated.keys()
    rows = [row for name in counts for row in search(name)] if several else search(None)
    judged = [_judge(row, counts, unrelated) for row in rows]
    if several:
        judged.sort(key=lambda row: -row["deviations"])
    best: dict[str, Row] = {}
    for row in judged:
        best.setdefault(row["file"], row)
    return list(best.values())[:count]


def _judge(row: Row, counts: Mapping[str, int], unrelated: Mapping[str, Unrelated]) -> Row:
    known = unrelated.get(row["modality"])
    if known is None:
        return row
    deviations = float(known.calibrate(row["score"]))
    threshold = known.threshold(counts.get(row["modality"], 1))
    return {**row, "deviations": deviations, "close": deviations > threshold}
