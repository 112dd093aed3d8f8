"""Trees of filters: what they hold, and that the store finds the rows that they describe."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openbind.search.columns import Row
from openbind.search.filters import (
    COLUMNS,
    And,
    Between,
    Column,
    Comparison,
    Constant,
    Filter,
    IsNull,
    Like,
    Not,
    Or,
    Within,
    compare,
    convert,
    like,
    to_sql,
)
from openbind.search.table import RowTable

TIMES = [datetime(year, 5, 6, 23, 8, 9, 123, tzinfo=timezone.utc) for year in (1969, 2021, 2024)]
TEXTS = ["", "a.jpg", "A.JPG", "it's 100 %_ü", "b\\c"]
"""Values that conftest.py's trees compare with."""


def make_row(number: int) -> Row:
    return Row(
        id=f"{number}-0",
        file=f"{number}",
        root=number % 2,
        path=TEXTS[number % len(TEXTS)],
        modality="image" if number % 2 else "audio",
        settings="",
        segment=0,
        segments=1 + number,
        start_s=None,
        end_s=[None, 0.1, 2.0][number % 3],
        hash="h",
        stat_key="",
        size=10**number,
        modified=TIMES[number % 3],
        taken=TIMES[(number + 1) % 3],
        year=2000 + number,
        camera=[None, "Maker A", "maker b"][number % 3],
        width=[None, 3, 40_000][number % 3],
        height=3,
        duration=number / 4,
        thumbnail=None,
    )


ROWS = [make_row(number) for number in range(15)]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> RowTable:
    """Fifteen rows with and without values."""
    made = RowTable(Path(tmp_path_factory.mktemp("filters")) / "rows", 2, create=True)
    made.add(ROWS, np.ones((len(ROWS), 2), np.float32))
    return made


def read(column: Column, row: Row) -> Any:
    value = getattr(row, column.name)
    if isinstance(value, float):
        value = float(np.float32(value))
    if column.function == "date":
        return value.date()
    return getattr(value, column.function) if column.function else value


def matches(pattern: str, text: str, ignore_case: bool) -> bool:
    parts = [{"%": ".*", "_": "."}.get(c, re.escape(c)) for c in pattern]
    flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
    return re.fullmatch("".join(parts), text, flags) is not None


def holds(tree: Filter, row: Row) -> bool | None:
    """What a filter means, with three values as in SQL."""
    if isinstance(tree, Constant):
        return tree.value
    if isinstance(tree, Not):
        inner = holds(tree.part, row)
        return None if inner is None else not inner
    if isinstance(tree, And | Or):
        found = [holds(part, row) for part in tree.parts]
        decisive = isinstance(tree, Or)
        return decisive if decisive in found else None if None in found else not decisive
    value = read(tree.column, row)
    if isinstance(tree, IsNull):
        return value is None
    if value is None:
        return None
    if isinstance(tree, Like):
        return matches(tree.pattern, value, tree.ignore_case)

    if isinstance(tree, Within):
        return any(order(tree.column, value, other, "=") for other in tree.values)
    if isinstance(tree, Between):
        above = order(tree.column, value, tree.low, ">=")
        return above and order(tree.column, value, tree.high, "<=")
    other = read(tree.value, row) if isinstance(tree.value, Column) else tree.value
    return None if other is None else order(tree.column, value, other, tree.operator)


def order(column: Column, value: Any, other: Any, operator: str) -> bool:
    """Compare as the store does: reals in single precision, integers as doubles."""
    if column.kind == "number":
        with np.errstate(over="ignore"):
            other = float(np.float32(other))
    if column.kind == "integer":
        value, other = float(value), float(other)
    return bool(
        {
            "=": value == other,
            "!=": value != other,
            "<": value < other,
            "<=": value <= other,
            ">": value > other,
            ">=": value >= other,
        }[operator]
    )


@settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_the_store_finds_what_a_filter_describes(
    table: RowTable, filter_trees: st.SearchStrategy[Filter], data: st.DataObject
) -> None:
    """Every tree runs, and means what Python's own operators say."""
    tree = data.draw(filter_trees)
    found = {row.id for row in table.read(to_sql(tree))[0]}
    assert found == {row.id for row in ROWS if holds(tree, row)}


def test_every_column_of_a_hit_has_a_kind() -> None:
    """Bytes aside, all columns can be named."""
    assert set(COLUMNS) == {field.name for field in fields(Row)} - {"thumbnail"}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("path", 3),
        ("path", True),
        ("path", "\ud800"),
        ("path", "x" * 2001),
        ("year", "2020"),
        ("year", True),
        ("year", float("nan")),
        ("duration", float("inf")),
        ("size", 10**400),
        ("modified", 2020),
        ("modified", "yesterday"),
        ("modified", "0001-01-01T00:00:00+05:00"),
    ],
)
def test_values_have_the_columns_kind(column: str, value: Any) -> None:
    """Others are refused before anything is written."""
    with pytest.raises(ValueError, match="expected"):
        convert(Column(column), value)


def test_times() -> None:
    """ISO 8601, `Z` too; a date is midnight in UTC."""
    modified = Column("modified")
    midnight = datetime(2024, 6, 1, tzinfo=timezone.utc)
    for text in ("2024-06-01", "2024-06-01T00:00:00Z", "2024-06-01T02:00:00+02:00"):
        assert convert(modified, text) == midnight
    assert convert(modified, date(2024, 6, 1)) == midnight
    assert convert(Column("modified", "date"), "2024-06-01") == date(2024, 6, 1)


def test_trees_are_checked() -> None:
    """Columns, functions, operators and kinds that don't fit."""
    for name, function in (("yeer", None), ("path", "year"), ("modified", "rpad")):
        with pytest.raises(ValueError, match=r"no |needs"):
            Column(name, function)
    with pytest.raises(ValueError, match="operator"):
        compare(Column("year"), "~", 3)
    with pytest.raises(ValueError, match="can't compare"):
        compare(Column("year"), "=", Column("path"))
    with pytest.raises(ValueError, match="like"):
        like(Column("year"), "2%", False)


def test_long_chains_are_balanced(table: RowTable) -> None:
    """Five hundred conditions are a shallow tree to the store's planner."""
    parts = tuple(Comparison(Column("year"), "!=", number) for number in range(500))
    sql = to_sql(And(parts))
    depth = [sql[:at].count("(") - sql[:at].count(")") for at in range(0, len(sql), 9)]
    assert max(depth) < 15
    assert len(table.read(sql)[0]) == len(ROWS)
