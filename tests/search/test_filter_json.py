"""Filters as JSON: the same trees as from text, and the place of what is wrong."""

from __future__ import annotations

import contextlib
import math
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbind.errors import InputError
from openbind.search.filter_json import read_filter
from openbind.search.filter_text import parse_filter
from openbind.search.filters import (
    And,
    Between,
    Column,
    Constant,
    Filter,
    IsNull,
    Like,
    Not,
    Or,
    Within,
    to_sql,
)

RECENT = {"column": "year", "op": ">", "value": 2020}


def write(tree: Filter) -> Any:
    if isinstance(tree, Constant):  # JSON needs none
        return {"column": "path", "function": None, "op": "is null"}
    if isinstance(tree, Not):
        return {"not": write(tree.part)}
    if isinstance(tree, And | Or):
        return {type(tree).__name__.lower(): [write(part) for part in tree.parts]}
    if isinstance(tree, IsNull):
        return {**write_value(tree.column), "op": "is null"}
    if isinstance(tree, Like):
        operator, value = "ilike" if tree.ignore_case else "like", tree.pattern
    elif isinstance(tree, Within):
        operator, value = "in", [write_value(item) for item in tree.values]
    elif isinstance(tree, Between):
        operator, value = "between", [write_value(tree.low), write_value(tree.high)]
    else:
        operator, value = tree.operator, write_value(tree.value)
    return {**write_value(tree.column), "op": operator, "value": value}


def write_value(value: Any) -> Any:
    if isinstance(value, Column):
        return {"column": value.name, "function": value.function}
    return value.isoformat() if isinstance(value, date) else value


@settings(deadline=None)
@given(st.data())
def test_written_and_read(filter_trees: st.SearchStrategy[Filter], data: st.DataObject) -> None:
    """What is written for a tree is read as the same tree."""
    written = write(data.draw(filter_trees))
    assert write(read_filter(written)) == written


def test_text_and_json_mean_the_same() -> None:
    """One tree, two forms."""
    text = "year > 2020 and not (path ilike '%.jpg' or month(modified) in (6, 7) or width > height)"
    parts = [
        {"column": "path", "op": "ilike", "value": "%.jpg"},
        {"column": "modified", "function": "month", "op": "in", "value": [6, 7]},
        {"column": "width", "op": ">", "value": {"column": "height"}},
    ]
    assert to_sql(read_filter({"and": [RECENT, {"not": {"or": parts}}]})) == to_sql(
        parse_filter(text)
    )


def nested(levels: int) -> dict[str, Any]:
    made: dict[str, Any] = RECENT
    for _ in range(levels):
        made = {"not": made}
    return made


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({}, "where.op"),
        ({"and": RECENT}, "where.and"),
        ({"and": []}, "where.and"),
        ({"and": [3]}, "where.and[0]"),
        ({"and": [RECENT], "or": [RECENT]}, "where"),
        ({"and": [RECENT, {**RECENT, "op": "~"}]}, "where.and[1].op"),
        ({"and": [RECENT, {**RECENT, "op": ["="]}]}, "where.and[1].op"),
        ({"not": {**RECENT, "column": "yeer"}}, "where.not.column"),
        ({**RECENT, "column": None}, "where.column"),
        ({**RECENT, "function": "rpad"}, "where.column"),
        ({**RECENT, "function": 3}, "where.column"),
        ({**RECENT, "value": None}, "where.value"),
        ({**RECENT, "value": [3]}, "where.value"),
        ({**RECENT, "value": "2020"}, "where.value"),
        ({**RECENT, "value": math.nan}, "where.value"),
        ({**RECENT, "value": {"column": "path"}}, "where.value"),
        ({**RECENT, "value": {"column": "year", "sql": "1"}}, "where.value"),
        ({**RECENT, "sql": "1=1"}, "where"),
        ({"column": "year", "op": "="}, "where"),
        ({**RECENT, "op": "is null"}, "where"),
        ({**RECENT, "op": "in", "value": 3}, "where.value"),
        ({**RECENT, "op": "in", "value": []}, "where.value"),
        ({**RECENT, "op": "in", "value": [3] * 501}, "where.value"),
        ({**RECENT, "op": "between", "value": [3]}, "where.value"),
        ({**RECENT, "op": "between", "value": [3, 4, 5]}, "where.value"),
        ({"column": "path", "op": "=", "value": "\ud800"}, "where.value"),
        ({"column": "path", "op": "=", "value": "x" * 2001}, "where.value"),
        ({"or": [RECENT] * 500}, "where.or[250].column"),
        ({"or": [{"or": [RECENT] * 500}] * 500}, "where.or[0].or[250].column"),
        (nested(22), "where" + ".not" * 21),
        (nested(100_000), "where" + ".not" * 21),
    ],
)
def test_refusals(values: Any, place: str) -> None:
    """The first thing that is wrong is named by its place."""
    with pytest.raises(InputError) as caught:
        read_filter(values)
    assert caught.value.item == place


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.sampled_from(["year", ">"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["and", "or", "not", "column", "op", "value", "function", "x"]), inner
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["and", "or", "not", "column", "op", "value"]), json_values))
def test_any_json(values: dict[str, Any]) -> None:
    """Plain values are a filter or are refused in one way."""
    with contextlib.suppress(InputError):
        to_sql(read_filter(values))
