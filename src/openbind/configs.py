"""Convert frozen dataclasses to plain values and back, with helpful errors."""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, TypeVar

from openbind.errors import ConfigError, shorten

Config = TypeVar("Config")


@dataclass(frozen=True)
class Range:
    """What a field of an `Annotated` number may be, bounds included; of a tuple, its length.

    Files are written by others: a range keeps a number from taking gigabytes or days.
    """

    low: float
    high: float


Divisor = Annotated[float, Range(1e-9, 1e9)]
"""What values are divided by, such as a standard deviation."""
Epsilon = Annotated[float, Range(0, 1)]
"""What is added to a variance before its root."""
Rate = Annotated[int, Range(1, 400_000)]
"""Samples per second."""
Width = Annotated[int, Range(1, 65_536)]
"""Features, dimensions, channels of a network."""
Side = Annotated[int, Range(1, 2_048)]
"""Rows or columns of what a network takes."""
MAX_NUMBERS = 200_000_000
"""Numbers of one item as a network takes it, and of what is computed on the way: 0.8 GB."""


def check_numbers(count: float) -> None:
    """Check how many numbers one item becomes by its settings.

    Raises:
        ValueError: too many.
    """
    if count > MAX_NUMBERS:
        raise ValueError(
            f"an item would have {count:,} numbers, at most {MAX_NUMBERS:,} are allowed"
        )


def checked(config: Config) -> Config:
    """Return a dataclass whose values were checked as those of a file.

    Raises:
        ConfigError: a value is of a wrong type or out of its range.
    """
    return from_dict(type(config), to_dict(config))


def to_dict(config: Any) -> Any:
    """Convert a dataclass (nested, with tuples) to values that JSON and YAML support."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {f.name: to_dict(getattr(config, f.name)) for f in dataclasses.fields(config)}
    if isinstance(config, dict):
        return {key: to_dict(value) for key, value in config.items()}
    if isinstance(config, tuple | list):
        return [to_dict(value) for value in config]
    return config


def from_dict(kind: type[Config], values: Any, where: str = "") -> Config:
    """Build a dataclass from a dictionary.

    Args:
        kind: the dataclass; its annotations determine the types of the values. A class with a
            method `from_plain(values, where)` converts its values itself.
        values: field name → plain value.
        where: key of the dictionary in its file, for errors.

    Raises:
        ConfigError: an unknown key (with the nearest known one), a missing key, or a wrong type.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"{where or kind.__name__}: expected a mapping, found {shorten(values)}")
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    hints = _hints(kind)  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            near = difflib.get_close_matches(str(key)[:100], fields, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(fields)}"
            raise ConfigError(f"{_join(where, key)}: unknown key; {hint}")
    given = {key: _read(hints[key], value, _join(where, key)) for key, value in values.items()}
    for name, field in fields.items():
        no_default = field.default is dataclasses.MISSING
        if name not in given and no_default and field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{_join(where, name)}: missing key")
    try:
        return kind(**given)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where or kind.__name__}: {error}") from error


@lru_cache(maxsize=1024)
def _hints(kind: type) -> dict[str, Any]:
    """Return the annotations of a class, evaluated once: that takes longer than reading values."""
    return typing.get_type_hints(kind, include_extras=True)


def _join(where: str, key: object) -> str:
    name = key if isinstance(key, str) and len(key) <= 80 else shorten(key)
    return f"{where}.{name}" if where else str(name)


def _read(hint: Any, value: Any, where: str) -> Any:
    """Convert one value to the type of its annotation."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin is Annotated:
        return _read_range(args, value, where)
    if origin in (typing.Union, types.UnionType):
        return _read_union(args, value, where)
    if origin is typing.Literal:
        if not isinstance(value, str | int) or value not in args:
            raise ConfigError(f"{where}: expected one of {list(args)}, found {shorten(value)}")
        return value
    if hasattr(hint, "from_plain"):
        return value if isinstance(value, hint) else hint.from_plain(value, where)
    if dataclasses.is_dataclass(hint):
        kind = typing.cast(type, hint)
        return value if isinstance(value, kind) else from_dict(kind, value, where)
    if origin is tuple:
        return _read_tuple(args, value, where)
    if origin is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"{where}: expected a mapping, found {shorten(value)}")
        return {key: _read(args[1], item, _join(where, key)) for key, item in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = _to_float(value)
    if hint is float and isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where}: expected a finite number, found {value}")
    if isinstance(value, bool) and hint is not bool:
        raise ConfigError(f"{where}: expected {hint.__name__}, found {shorten(value)}")
    if not isinstance(value, hint):
        raise ConfigError(f"{where}: expected {hint.__name__}, found {shorten(value)}")
    return value


def _to_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _read_range(args: tuple[Any, ...], value: Any, where: str) -> Any:
    is_float = args[0] is float and isinstance(value, float)  # a range may include infinity
    is_list = typing.get_origin(args[0]) is tuple and isinstance(value, list | tuple)
    found = value if is_float or is_list else _read(args[0], value, where)
    size = len(found) if is_list else found
    for allowed in args[1:]:
        if isinstance(allowed, Range) and not allowed.low <= size <= allowed.high:
            what = "a length" if is_list else "a number"
            between = f"from {allowed.low:,} to {allowed.high:,}"
            raise ConfigError(f"{where}: expected {what} {between}, found {shorten(size)}")
    return _read(args[0], value, where) if is_list else found


def _read_union(args: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in args:
        return None
    failures = []
    for arg in args:
        if arg is type(None):
            continue
        try:
            return _read(arg, value, where)
        except ConfigError as error:
            failures.append(error)
    raise failures[0]


def _read_tuple(args: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{where}: expected a list, found {shorten(value)}")
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(_read(args[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if len(args) != len(value):
        raise ConfigError(f"{where}: expected {len(args)} values, found {len(value)}")
    return tuple(
        _read(arg, item, f"{where}[{i}]")
        for i, (arg, item) in enumerate(zip(args, value, strict=True))
    )


_JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}


def schema(kind: type) -> dict[str, Any]:
    """Return a JSON Schema (2020-12) of the mappings that `from_dict` accepts, for editors.

    Args:
        kind: the dataclass. A class with `from_plain` has its schema in `plain_schema()`.
    """
    hints = _hints(kind)
    fields = dataclasses.fields(kind)
    properties = {field.name: _value_schema(hints[field.name]) for field in fields}
    missing = dataclasses.MISSING
    for field in fields:
        if field.default is not missing:
            properties[field.name]["default"] = to_dict(field.default)
    required = [f.name for f in fields if f.default is missing and f.default_factory is missing]
    found = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**found, "required": required} if required else found


def _range_schema(args: tuple[Any, ...]) -> dict[str, Any]:
    is_list = typing.get_origin(args[0]) is tuple
    low, high = ("minItems", "maxItems") if is_list else ("minimum", "maximum")
    ranges = [each for each in args[1:] if isinstance(each, Range)]
    return {key: value for each in ranges for key, value in ((low, each.low), (high, each.high))}


def _value_schema(hint: Any) -> dict[str, Any]:
    """Return the schema of the values of one annotation."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return {}
    if hint is type(None):
        return {"type": "null"}
    if origin is Annotated:
        return _value_schema(args[0]) | _range_schema(args)
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_value_schema(arg) for arg in args]}
    if origin is typing.Literal:
        return {"enum": list(args)}
    if hasattr(hint, "plain_schema"):
        return dict(hint.plain_schema())
    if dataclasses.is_dataclass(hint):
        return schema(typing.cast(type, hint))
    if origin is tuple and args[-1] is Ellipsis:
        return {"type": "array", "items": _value_schema(args[0])}
    if origin is tuple:
        items = [_value_schema(arg) for arg in args]
        return {"type": "array", "prefixItems": items, "minItems": len(args), "items": False}
    if origin is dict:
        return {"type": "object", "additionalProperties": _value_schema(args[1])}
    return {"type": _JSON_TYPES[hint]}
