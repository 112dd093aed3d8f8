"""Filters as text: the tree that is read, and where reading stops."""

from __future__ import annotations

from datetime import date, datetime, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbind.errors import InputError, printable
from openbind.search.filter_text import parse_filter
from openbind.search.filters import (
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
    to_sql,
)

YEAR, PATH = Column("year"), Column("path")
RECENT = Comparison(YEAR, ">", 2020)


def write(tree: Filter) -> str:
    """A tree as a person would write it, with more parentheses."""
    if isinstance(tree, Constant):
        return str(tree.value)
    if isinstance(tree, Not):
        return f"NOT ({write(tree.part)})"
    if isinstance(tree, And | Or):
        word = " and " if isinstance(tree, And) else "\nOR "
        return word.join(f"({write(part)})" for part in tree.parts)
    name = write_value(tree.column)
    if isinstance(tree, IsNull):
        return f"{name} is null"
    if isinstance(tree, Like):
        return f"{name} {'ILIKE' if tree.ignore_case else 'like'} {write_value(tree.pattern)}"
    if isinstance(tree, Within):
        return f"{name} in ({','.join(map(write_value, tree.values))} )"
    if isinstance(tree, Between):
        return f"{name} Between {write_value(tree.low)} AND {write_value(tree.high)}"
    return f"{name}{tree.operator}{write_value(tree.value)}"


def write_value(value: object) -> str:
    if isinstance(value, Column):
        return f"{value.function}( {value.name} )" if value.function else value.name
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, datetime):
        return f"TIMESTAMP '{value.isoformat()}'"
    return f"'{value}'" if isinstance(value, date) else repr(value)


@settings(deadline=None)
@given(st.data())
def test_written_and_read(filter_trees: st.SearchStrategy[Filter], data: st.DataObject) -> None:
    """What is written for a tree is read as the same tree, or is too long."""
    tree = data.draw(filter_trees)
    text = write(tree)
    if len(text) <= 2_000:
        assert to_sql(parse_filter(text)) == to_sql(tree)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("year > 2020", RECENT),
        (" 2020<YEAR ", RECENT),
        ("(((year > 2020)))", RECENT),
        ("year <> -1.5e3", Comparison(YEAR, "!=", -1500.0)),
        ("path LIKE '%it''s.jpg'", Like(PATH, "%it's.jpg")),
        ("path not ilike 'A%'", Not(Like(PATH, "A%", ignore_case=True))),
        ("year in (1, 2.0)", Within(YEAR, (1, 2.0))),
        ("year not in (1)", Not(Within(YEAR, (1,)))),
        ("width is not null", Not(IsNull(Column("width")))),
        ("width > height", Comparison(Column("width"), ">", Column("height"))),
        ("true", Constant(True)),
        ("month(modified) = 6", Comparison(Column("modified", "month"), "=", 6)),
        (
            "date(modified) >= date '2024-06-01'",
            Comparison(Column("modified", "date"), ">=", date(2024, 6, 1)),
        ),
        (
            "modified > timestamp '2024-06-01'",
            Comparison(Column("modified"), ">", datetime(2024, 6, 1, tzinfo=timezone.utc)),
        ),
        (
            "year > 2020 or not year between 1 and 2 and path = ''",
            Or((RECENT, And((Not(Between(YEAR, 1, 2)), Comparison(PATH, "=", ""))))),
        ),
    ],
)
def test_reading(text: str, tree: Filter) -> None:
    """`and` binds more than `or`, `not` more than both; keywords in any case."""
    assert parse_filter(text) == tree


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("", 1),
        ("yeer > 3", 1),
        ("year >", 7),
        ("year", 5),
        ("year > 2020 AN", 13),
        ("year > 2020 -- recent", 13),
        ("year > 2020; x", 12),
        ("1/0 = 1", 2),
        ("year > (SELECT 1)", 8),
        ("false) OR (true", 6),
        ("year > 3000) OR (year > 0", 12),
        ("path = 'a", 8),
        ("(year > 2020", 13),
        ("year > 2020 /* recent", 13),
        ("path = 'it''s' ) OR (true", 16),
        ("path = 'x' OR path = 'y", 22),
        ('"path" = 1', 1),
        ("path = 3", 8),
        ("path = ?", 8),
        ("path = $1", 8),
        ("_rowaddr > 0", 1),
        ("length(rpad('x',2147483647))>0", 1),
        ("cardinality(array_repeat(1,1000000000))>0", 1),
        ("replace(repeat('a',100000),'a','b')=''", 1),
        ("levenshtein(path,path)>0", 1),
        ("1+1+1+1 > 0", 2),
        ("size + 1 > 0", 6),
        ("size > 1_000", 8),
        ("size > 0x10", 8),
        ("1 = 1", 5),
        ("year = true", 8),
        ("'a' = path = 'b'", 12),
        ("year in ()", 10),
        ("year in (path)", 10),
        ("year is 3", 9),
        ("year between 1 or 2", 16),
        ("year(path) = 3", 6),
        ("\x00", 1),
        ("année > 3", 4),
        ("path = '\ud800'", 8),
        ("year > " + "9" * 1900, 8),
        ("(" * 900 + "true" + ")" * 900, 21),
        ("not " * 400 + "true", 81),
        ("year in (" + "1," * 990 + "1)", 1008),
    ],
)
def test_refusals(text: str, at: int) -> None:
    """Whatever else is written is refused with its place; nothing reaches the store."""
    with pytest.raises(InputError, match=f"at character {at}:|at most 2,000") as caught:
        parse_filter(text)
    assert caught.value.item[:50] == printable(text)[:50]


@given(st.text(alphabet=list("year><=!()',.-+/;%_ \n\"`$?{}0123456789orandtilkebwsu"), max_size=60))
def test_any_text(text: str) -> None:
    """A text is a filter or is refused in one way."""
    try:
        sql = to_sql(parse_filter(text))
    except InputError:
        return
    assert sql.count("(") >= sql.count(")")
