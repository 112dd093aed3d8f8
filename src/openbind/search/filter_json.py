"""The JSON form of filters: `{"and": [{"column": "year", "op": ">", "value": 2020}, …]}`.

    filter  = {"and": [filter, …]} | {"or": [filter, …]} | {"not": filter} | condition
    condition  = {"column": name, "op": operator, "value": value, "function": name or null}

`value` is a string, a number, a boolean or `{"column": name}`; of `in` a list of values, of
`between` two of them; `is null` has none. Times are strings in ISO 8601.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openbind.errors import InputError
from openbind.search.filters import (
    MAX_DEPTH,
    MAX_TERMS,
    OPERATORS,
    And,
    Between,
    Column,
    Filter,
    IsNull,
    Not,
    Or,
    Value,
    Within,
    compare,
    convert,
    like,
)

_OPERATORS = (*OPERATORS, "in", "between", "like", "ilike", "is null")


def read_filter(values: Mapping[str, Any]) -> Filter:
    """Read a filter from plain values, as of JSON.

    Raises:
        InputError: it isn't one; the item is the place, such as "where.and[1].op".
    """
    return _Reader().read(values, "where", 0)


class _Reader:
    """Reads nested values; counts columns and values."""

    def __init__(self) -> None:
        self.terms = 0

    def read(self, values: Any, place: str, depth: int) -> Filter:
        if depth > MAX_DEPTH:
            raise InputError(place, f"expected at most {MAX_DEPTH} levels")
        if not isinstance(values, Mapping):
            raise InputError(place, f"expected a mapping, found a {type(values).__name__}")
        joined = [key for key in ("and", "or", "not") if key in values]
        if not joined:
            return self.condition(values, place)
        (key, *_), inner = joined, f"{place}.{joined[0]}"
        if len(values) > 1:
            raise InputError(place, f"expected {key!r} alone in its mapping")
        if key == "not":
            return Not(self.read(values[key], inner, depth + 1))
        listed = self.items(values[key], inner)
        parts = tuple(
            self.read(part, f"{inner}[{at}]", depth + 1) for at, part in enumerate(listed)
        )
        return And(parts) if key == "and" else Or(parts)

    def condition(self, values: Mapping[str, Any], place: str) -> Filter:
        unknown = sorted(map(str, values.keys() - {"column", "function", "op", "value"}))
        if unknown:
            reason = f"unknown key {unknown[0][:40]!r}; known: column, function, op, value"
            raise InputError(place, reason)
        operator = values.get("op")
        if not isinstance(operator, str) or operator not in _OPERATORS:
            reason = f"expected one of {', '.join(_OPERATORS)}, found {str(operator)[:40]!r}"
            raise InputError(f"{place}.op", reason)
        try:
            column = self.column({k: v for k, v in values.items() if k not in ("op", "value")})
        except ValueError as error:
            raise InputError(f"{place}.column", str(error)) from error
        if ("value" in values) == (operator == "is null"):
            wanted = "no" if operator == "is null" else "a"
            raise InputError(place, f"{operator} takes {wanted} value")
        inner = f"{place}.value"
        try:
            return self.predicate(column, operator, values.get("value"), inner)
        except InputError:
            raise
        except ValueError as error:
            raise InputError(inner, str(error)) from error

    def predicate(self, column: Column, operator: str, value: Any, place: str) -> Filter:
        if operator == "is null":
            return IsNull(column)
        if operator in ("in", "between"):
            values = [convert(column, self.value(item)) for item in self.items(value, place)]
            if operator == "in":
                return Within(column, tuple(values))
            if len(values) != 2:
                raise ValueError(f"expected two values, found {len(values)}")
            return Between(column, *values)
        if operator in ("like", "ilike"):
            return like(column, self.value(value), operator == "ilike")
        if isinstance(value, Mapping):
            return compare(column, operator, self.column(value))
        return compare(column, operator, self.value(value))

    def items(self, values: Any, place: str) -> list[Any]:
        if not isinstance(values, list | tuple) or not 1 <= len(values) <= MAX_TERMS:
            found = len(values) if isinstance(values, list | tuple) else type(values).__name__
            raise InputError(place, f"expected a list of 1 to {MAX_TERMS}, found {found}")
        return list(values)

    def column(self, values: Mapping[str, Any]) -> Column:
        self.count()
        name, function = values.get("column"), values.get("function")
        if not isinstance(name, str) or not isinstance(function, str | None):
            raise ValueError("expected the name of a column, and of a function or null")
        if not values.keys() <= {"column", "function"}:
            raise ValueError("expected a mapping of column and function alone")
        return Column(name, function)

    def value(self, value: Any) -> Value:
        self.count()
        if not isinstance(value, str | int | float):
            raise ValueError(f"expected a string, a number or a boolean, found {_kind(value)}")
        return value

    def count(self) -> None:
        self.terms += 1
        if self.terms > MAX_TERMS:
            raise ValueError(f"expected at most {MAX_TERMS} columns and values")


def _kind(value: Any) -> str:
    return "null" if value is None else f"a {type(value).__name__}"
