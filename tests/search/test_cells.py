"""Cells read as Arrow reads them, of each type of an index's columns, null or not."""

from __future__ import annotations

from datetime import datetime, timezone

import numpy as np
import pyarrow as pa
import pytest

from openbind.search.cells import Cells

WHEN = datetime(1969, 7, 20, 20, 17, 40, 999_999, tzinfo=timezone.utc)
COLUMNS = {
    "text": pa.array(["a", "", "Zürich 🎵", "d"]),
    "no text": pa.array(["", None, "", None], pa.string()),
    "number": pa.array([1, -(2**62), 3, 4], pa.int64()),
    "short": pa.array([1, None, 3, None], pa.int16()),
    "real": pa.array([0.1, None, -1e-30, 4.0], pa.float32()),
    "when": pa.array([WHEN, None, WHEN, WHEN], pa.timestamp("us", tz="UTC")),
    "bytes": pa.array([b"\xff", None, b"", b"x"]),
    "nothing": pa.array([None] * 4, pa.string()),
}


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "sliced"])
def test_equal_to_arrow(whole: bool) -> None:
    """Values, their types and the order are Arrow's; slices and several chunks too."""
    table = pa.table(COLUMNS)
    table = table if whole else table.slice(1)
    for chosen in ([0], [2, 0, 1], [1, 1], []):
        places_T = np.array(chosen, np.int64)
        found = Cells(table, table.column_names).rows(places_T)
        expected = table.take(places_T).to_pylist()
        assert found == expected
        assert [list(map(type, row.values())) for row in found] == [
            list(map(type, row.values())) for row in expected
        ]
    twice = pa.concat_tables([table, table])
    place_T = np.array([len(table)])
    assert Cells(twice, table.column_names).rows(place_T) == table.slice(0, 1).to_pylist()


def test_no_rows() -> None:
    """An empty table has none."""
    table = pa.table(COLUMNS).slice(0, 0)
    assert Cells(table, table.column_names).rows(np.zeros(0, np.int64)) == []
