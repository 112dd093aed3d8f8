"""Filters of an index's rows: trees of conditions on columns, and the store's SQL for them.

A filter comes from outside, as a text (`filter_text.py`) or as JSON (`filter_json.py`). Both
are read into the same tree, and only what the tree can hold reaches the store: no expressions, no
functions of the store's own, nothing that takes more than a pass over the rows.
"""

from __future__ import annotations

import difflib
import sys
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from typing import Literal

from openbind.search.columns import SHOWN, Row

MAX_CHARACTERS = 2_000
"""Length of a filter's text, and of each string in one."""
MAX_DEPTH = 20
"""Depth of parentheses, lists and negations."""
MAX_TERMS = 500
"""Columns and values in one filter."""

Kind = Literal["string", "integer", "number", "time", "date", "boolean"]
Value = str | int | float | bool | date
Operator = Literal["=", "!=", "<", "<=", ">", ">="]
OPERATORS = typing.get_args(Operator)
FUNCTIONS: dict[str, Kind] = {
    "year": "integer",
    "month": "integer",
    "day": "integer",
    "hour": "integer",
    "date": "date",
}
"""Functions of a time, in UTC, and what they return."""
_LARGEST = sys.float_info.max
_KINDS: dict[type, Kind] = {
    str: "string",
    int: "integer",
    float: "number",
    datetime: "time",
    bool: "boolean",
}


def _column_kinds() -> dict[str, Kind]:
    hints = typing.get_type_hints(Row)
    plain = {name: (typing.get_args(hints[name]) or (hints[name],))[0] for name in SHOWN}
    return {name: _KINDS[kind] for name, kind in plain.items()}


COLUMNS = _column_kinds()
"""Columns that filters may name, and their kinds."""


@dataclass(frozen=True)
class Column:
    """A column, or a function of a column of times."""

    name: str
    function: str | None = None

    def __post_init__(self) -> None:
        if self.name not in COLUMNS:
            near = difflib.get_close_matches(self.name, COLUMNS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"columns: {', '.join(COLUMNS)}"
            raise ValueError(f"no column named {self.name[:40]!r}; {hint}")
        if self.function is not None and self.function not in FUNCTIONS:
            raise ValueError(
                f"no function named {self.function[:40]!r}; functions: {', '.join(FUNCTIONS)}"
            )
        if self.function is not None and COLUMNS[self.name] != "time":
            raise ValueError(f"{self.function} needs a column of times, {self.name} has none")

    @property
    def kind(self) -> Kind:
        """What its values are."""
        return FUNCTIONS[self.function] if self.function else COLUMNS[self.name]


@dataclass(frozen=True)
class Comparison:
    """A column compared with a value or another column."""

    column: Column
    operator: Operator
    value: Value | Column


@dataclass(frozen=True)
class Within:
    """A column has one of some values."""

    column: Column
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Between:
    """A column is at least `low` and at most `high`."""

    column: Column
    low: Value
    high: Value


@dataclass(frozen=True)
class Like:
    """A string has a pattern, in which `%` stands for any characters and `_` for one."""

    column: Column
    pattern: str
    ignore_case: bool = False


@dataclass(frozen=True)
class IsNull:
    """A column has no value."""

    column: Column


@dataclass(frozen=True)
class Constant:
    """All rows, or none."""

    value: bool


@dataclass(frozen=True)
class Not:
    """The opposite; a comparison with no value is neither true nor false, as in SQL."""

    part: Filter


@dataclass(frozen=True)
class And:
    """All parts hold."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True)
class Or:
    """At least one part holds."""

    parts: tuple[Filter, ...]


Filter = Comparison | Within | Between | Like | IsNull | Constant | Not | And | Or


def compare(column: Column, operator: str, value: Value | Column) -> Comparison:
    """Return a comparison.

    Raises:
        ValueError: no such operator, or a value of another kind than the column's.
    """
    if operator not in OPERATORS:
        raise ValueError(f"expected an operator of {' '.join(OPERATORS)}, found {operator[:40]!r}")
    if isinstance(value, Column):
        if not _comparable(column.kind, value.kind):
            raise ValueError(f"can't compare {column.name} ({column.kind}) with {value.name}")
    else:
        value = convert(column, value)
    return Comparison(column, typing.cast(Operator, operator), value)


def like(column: Column, pattern: Value, ignore_case: bool) -> Like:
    """Return a comparison with a pattern.

    Raises:
        ValueError: the column or the pattern isn't a string.
    """
    if column.kind != "string":
        raise ValueError(f"like needs a column of strings, {column.name} is {column.kind}")
    return Like(column, str(convert(column, pattern)), ignore_case)


def convert(column: Column, value: Value) -> Value:
    """Return a value as one of a column's kind; text in ISO 8601 becomes a time or a date.

    Raises:
        ValueError: it isn't of that kind.
    """
    kind = column.kind
    if isinstance(value, str):
        _check_string(value)
        value = _read_time(value) if kind in ("time", "date") else value
    if kind == "time" and isinstance(value, date):
        return _as_time(value)
    if kind == "date" and isinstance(value, date):
        return _as_date(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and not -_LARGEST <= typing.cast(float, value) <= _LARGEST:
        raise ValueError("expected a finite number")
    if kind in ("integer", "number"):
        fits = is_number
    else:
        fits = isinstance(value, {"string": str, "boolean": bool}.get(kind, date))
    if not fits:
        raise ValueError(
            f"expected a value of the kind {kind} for {column.name}, found {str(value)[:40]!r}"
        )
    return value


def to_sql(tree: Filter) -> str:
    """Write a filter in the dialect of the store, every part in parentheses."""
    if isinstance(tree, Comparison):
        other = tree.value
        value = _operand(other) if isinstance(other, Column) else _literal(tree.column, other)
        return f"({_operand(tree.column)} {tree.operator} {value})"
    if isinstance(tree, Within):
        values = ", ".join(_literal(tree.column, value) for value in tree.values)
        return f"({_operand(tree.column)} IN ({values}))"
    if isinstance(tree, Between):
        low, high = _literal(tree.column, tree.low), _literal(tree.column, tree.high)
        return f"({_operand(tree.column)} BETWEEN {low} AND {high})"
    if isinstance(tree, Like):
        word = "ILIKE" if tree.ignore_case else "LIKE"
        return f"({_operand(tree.column)} {word} {_quote(tree.pattern)})"
    if isinstance(tree, IsNull):
        return f"({_operand(tree.column)} IS NULL)"
    if isinstance(tree, Not):
        return f"(NOT {to_sql(tree.part)})"
    if isinstance(tree, Constant):
        return "true" if tree.value else "false"
    return _join([to_sql(part) for part in tree.parts], "AND" if isinstance(tree, And) else "OR")


def _join(parts: Sequence[str], word: str) -> str:
    """Join conditions as a balanced tree: the store's planner recurses into long chains."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    return f"({_join(parts[:half], word)} {word} {_join(parts[half:], word)})"


def _operand(column: Column) -> str:
    if column.function == "date":
        return f"CAST({column.name} AS DATE)"
    if column.function:
        return f"CAST(date_part('{column.function}', {column.name}) AS DOUBLE)"
    # The store refuses a literal beyond the range of a narrow integer column.
    return f"CAST({column.name} AS DOUBLE)" if column.kind == "integer" else column.name


def _literal(column: Column, value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quote(value)
    if isinstance(value, datetime):
        return f"timestamp '{value.isoformat()}'"
    if isinstance(value, date):
        return f"date '{value.isoformat()}'"
    return repr(float(value))


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _comparable(one: Kind, other: Kind) -> bool:
    return one == other or {one, other} <= {"integer", "number"}


def _check_string(value: str) -> None:
    if len(value) > MAX_CHARACTERS:
        raise ValueError(f"expected a string of at most {MAX_CHARACTERS:,} characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("expected a string of whole characters, found a surrogate") from None


def _read_time(text: str) -> date:
    """Read a date or a time; Python 3.10 knows no `Z`."""
    iso = text[:-1] + "+00:00" if text.endswith(("Z", "z")) else text
    try:
        return date.fromisoformat(iso) if len(iso) == 10 else datetime.fromisoformat(iso)
    except ValueError:
        raise ValueError(
            f"expected a time in ISO 8601 such as '2024-06-01', found {text[:40]!r}"
        ) from None


def _as_time(value: date) -> datetime:
    """Return a moment in UTC; a date is its midnight, and no zone is UTC."""
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=timezone.utc)
    try:
        return (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).astimezone(
            timezone.utc
        )
    except OverflowError:
        raise ValueError("expected a time between the years 1 and 9999") from None


def _as_date(value: date) -> date:
    if not isinstance(value, datetime):
        return value
    raise ValueError("expected a date without a time, such as '2024-06-01'")
