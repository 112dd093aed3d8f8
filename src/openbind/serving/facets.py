"""What an index can be filtered by: values of its files' properties, with counts."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from openbind.search.index import Index
from openbind.search.meta import Root
from openbind.serving.hits import public_name
from openbind.serving.index_schemas import Facet, FacetsResponse, FacetValue

COLUMNS = ("root", "path", "modality", "taken", "camera", "duration", "size")
FOLDER_LEVELS = 2
"""Folders below the indexed ones that are listed."""
MAX_VALUES = 60
"""Values of a property that are listed, the most frequent ones."""
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
DURATIONS = ((0, "under 10 s"), (10, "10 s to 1 min"), (60, "1 to 10 min"), (600, "over 10 min"))
"""In seconds: from here on, and its name."""
SIZES = (
    (0, "under 100 kB"),
    (100_000, "100 kB to 1 MB"),
    (1_000_000, "1 to 10 MB"),
    (10_000_000, "over 10 MB"),
)
"""In bytes."""
Bins = Sequence[tuple[int, str]]


class Facets:
    """Counts of an index's files, computed when they are asked for and the rows have changed.

    Args:
        index: its files are counted.
    """

    def __init__(self, index: Index) -> None:
        self.index = index
        self._lock = threading.Lock()
        self._counted: tuple[int, FacetsResponse] | None = None

    def count(self) -> FacetsResponse:
        """Return the properties of the files, each with its values."""
        with self._lock:  # many who ask at once wait for one count
            version = self.index.version
            if self._counted is None or self._counted[0] != version:
                self._counted = version, _count(self.index)
            return self._counted[1]


def _count(index: Index) -> FacetsResponse:
    roots = {root.number: root for root in index.meta.roots}
    counters: dict[str, Counter[Any]] = {}
    for batch in index.table.batches(COLUMNS, "segment = 0"):
        for row in batch.to_pylist():
            for name, value in _values(row):
                counters.setdefault(name, Counter())[value] += 1
    writers = {
        "modality": _by_count(lambda value: (value, f"modality = {_quote(value)}")),
        "folder": _by_name(lambda value: _folder(roots, value)),
        "year": _by_name(lambda value: (str(value), f"year = {value}"), reverse=True),
        "month": _by_name(lambda value: (MONTHS[value - 1], f"month(taken) = {value}")),
        "camera": _by_count(lambda value: (value, f"camera = {_quote(value)}")),
        "duration": _by_name(lambda value: _bin("duration", DURATIONS, value)),
        "size": _by_name(lambda value: _bin("size", SIZES, value)),
    }
    data = [
        Facet(name=name, values=write(counters.get(name, {}))) for name, write in writers.items()
    ]
    return FacetsResponse(object="facets", data=data)


def _values(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the values of a file's properties."""
    taken: datetime = row["taken"]
    yield "modality", row["modality"]
    yield "year", taken.year
    yield "month", taken.month
    yield "size", _place(SIZES, row["size"])
    yield "folder", (row["root"], "")
    folders = row["path"].split("/")[:-1]
    for level in range(1, min(FOLDER_LEVELS, len(folders)) + 1):
        yield "folder", (row["root"], "/".join(folders[:level]))
    if row["camera"] is not None:
        yield "camera", row["camera"]
    if row["duration"] is not None:
        yield "duration", _place(DURATIONS, row["duration"])


def _by_count(write: Any) -> Any:
    """Return how to write values, the most frequent first."""
    return lambda counts: [_value(write, counts, key) for key in _frequent(counts)]


def _by_name(write: Any, *, reverse: bool = False) -> Any:
    """Return how to write values in their own order."""
    return lambda counts: [
        _value(write, counts, key) for key in sorted(_frequent(counts), reverse=reverse)
    ]


def _frequent(counts: Mapping[Any, int]) -> Iterable[Any]:
    return [key for key, _ in Counter(counts).most_common(MAX_VALUES)]


def _value(write: Any, counts: Mapping[Any, int], key: Any) -> FacetValue:
    label, where = write(key)
    return FacetValue(label=label, count=counts[key], where=where)


def _folder(roots: Mapping[int, Root], value: tuple[int, str]) -> tuple[str, str]:
    """Return a folder's name and filter: its paths lie between `a/` and `a0`, the next byte."""
    number, folder = value
    name = public_name(roots[number].path.name) if number in roots else str(number)
    if not folder:
        return name, f"root = {number}"
    inside = f"path >= {_quote(folder + '/')} and path < {_quote(folder + '0')}"
    return f"{name}/{folder}", f"root = {number} and {inside}"


def _place(bins: Bins, value: float) -> int:
    return max(at for at, (start, _) in enumerate(bins) if at == 0 or value >= start)


def _bin(column: str, bins: Bins, at: int) -> tuple[str, str]:
    """Return a range's name and filter."""
    limits = [f"{column} >= {bins[at][0]}"]
    if at + 1 < len(bins):
        limits.append(f"{column} < {bins[at + 1][0]}")
    return bins[at][1], " and ".join(limits)


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
