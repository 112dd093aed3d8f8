"""Cells of an Arrow table as Python values, a few rows at a time, without Arrow's work per call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from functools import cached_property
from typing import Any

import numpy as np

AT_ONCE = 5_000
"""Tables of at most so many rows are read as a whole by the first question, in milliseconds."""
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
Read = Callable[[np.ndarray], list[Any]]
"""From places of rows to the values of a column."""


class Cells:
    """Columns of a table, whose rows are read as `Table.take(places).to_pylist()` reads them.

    Arrow makes an object for each cell first, which takes several times as long for ten rows. Rows
    of small tables are kept as values, some 2 kB each.

    Args:
        table: Arrow's; its buffers are shared, not copied, but for columns that may be null.
        names: of the columns.
    """

    def __init__(self, table: Any, names: Sequence[str]) -> None:
        self._names, self._count = names, len(table)
        self._columns = [_reader(table.column(name)) for name in names]

    def rows(self, places_T: np.ndarray) -> list[dict[str, Any]]:
        """Return rows by their places, as values by the names of the columns."""
        if self._count > AT_ONCE:
            return self._read(places_T)
        whole = self._whole
        return [whole[place].copy() for place in places_T.tolist()]

    @cached_property
    def _whole(self) -> list[dict[str, Any]]:
        return self._read(np.arange(self._count))

    def _read(self, places_T: np.ndarray) -> list[dict[str, Any]]:
        columns = [read(places_T) for read in self._columns]
        return [dict(zip(self._names, row, strict=True)) for row in zip(*columns, strict=True)]


def _reader(column: Any) -> Read:
    """Return the quickest way to read a column's cells."""
    import pyarrow as pa

    if column.num_chunks == 1:
        array, kind = column.chunk(0), column.type
        if pa.types.is_string(kind):
            return _nullable(array, _text_reader(array))
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return _nullable(array, _number_reader(array))
        if kind == pa.timestamp("us", tz="UTC"):
            numbers = _number_reader(array.cast(pa.int64()))
            return _nullable(
                array,
                lambda places_T: [EPOCH + timedelta(microseconds=n) for n in numbers(places_T)],
            )
    return lambda places_T: column.take(places_T).to_pylist()


def _number_reader(array: Any) -> Read:
    values = (array.fill_null(0) if array.null_count else array).to_numpy()
    return lambda places_T: values[places_T].tolist()


def _text_reader(array: Any) -> Read:
    _, offsets, characters = array.buffers()
    ends = np.frombuffer(offsets, np.int32)[array.offset :]
    data = memoryview(characters if characters is not None else b"")

    def read(places_T: np.ndarray) -> list[str]:
        spans = zip(ends[places_T].tolist(), ends[places_T + 1].tolist(), strict=True)
        return [str(data[start:end], "utf-8") for start, end in spans]

    return read


def _nullable(array: Any, read: Read) -> Read:
    """Return None for cells that are null."""
    if not array.null_count:
        return read
    valid = array.is_valid().to_numpy(zero_copy_only=False)

    def read_valid(places_T: np.ndarray) -> list[Any]:
        pairs = zip(read(places_T), valid[places_T].tolist(), strict=True)
        return [value if is_valid else None for value, is_valid in pairs]

    return read_valid
