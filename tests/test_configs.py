"""Dataclass → dict → dataclass is the identity; errors have the key's path."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbind.configs import Range, checked, from_dict, schema, to_dict
from openbind.errors import ConfigError
from openbind.training.recipe import Recipe
from openbind.training.recipe_file import parse_yaml

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, kw_only=True)
class Inner:
    width: int
    names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Other:
    kind: Literal["other"] = "other"


@dataclass(frozen=True, kw_only=True)
class Outer:
    inner: Inner
    rate: float = 1.0
    pair: tuple[float, int] = (0.5, 1)
    mode: Literal["a", "b"] = "a"
    either: Inner | Other | None = None
    table: dict[str, Inner] | None = None
    share: Annotated[float, Range(0, 1)] = 0.5
    top: Annotated[float, Range(0, math.inf)] = 1.0
    layers: Annotated[tuple[Annotated[int, Range(1, 9)], ...], Range(1, 3)] | None = None


@settings(deadline=None)
@given(
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(st.text()),
    st.sampled_from(["a", "b"]),
)
@pytest.mark.slow
def test_round_trip(width: int, rate: float, names: list[str], mode: str) -> None:
    """A round trip restores nested dataclasses and tuples."""
    inner = Inner(width=width, names=tuple(names))
    for either in (None, inner, Other()):
        config = Outer(inner=inner, rate=rate, mode=mode, either=either, table={"x": inner})  # type: ignore[arg-type]
        assert from_dict(Outer, to_dict(config)) == config
        jsonschema.validate(to_dict(config), schema(Outer))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"inner": {"width": 1, "nmes": []}}, r"inner\.nmes: unknown key; did you mean 'names'"),
        ({"inner": {}}, r"inner\.width: missing key"),
        ({"inner": {"width": "wide"}}, r"inner\.width: expected int, found 'wide'"),
        ({"inner": {"width": True}}, r"inner\.width: expected int, found True"),
        ({"inner": {"width": 1}, "mode": "c"}, r"mode: expected one of \['a', 'b'\], found 'c'"),
        ({"inner": {"width": 1}, "pair": [1.0]}, r"pair: expected 2 values, found 1"),
        ({"inner": {"width": 1, "names": "ab"}}, r"inner\.names: expected a list"),
        ({"inner": 3}, "inner: expected a mapping, found 3"),
        (
            {"inner": {"width": 1}, "table": {"x": {"width": None}}},
            r"table\.x\.width: expected int",
        ),
        ({"inner": {"width": 1}, "share": 1.5}, "share: expected a number from 0 to 1, found 1.5"),
        ({"inner": {"width": 1}, "layers": []}, "layers: expected a length from 1 to 3, found 0"),
        ({"inner": {"width": 1}, "layers": [10]}, r"layers\[0\]: expected a number from 1 to 9"),
        ({"inner": {"width": 1}, "layers": 5}, "layers: expected a list"),
    ],
)
def test_refuses_what_does_not_fit(values: dict[str, object], message: str) -> None:
    """Errors name the key's path, what was expected and what was found; the schema agrees."""
    with pytest.raises(ConfigError, match=message):
        from_dict(Outer, values)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values, schema(Outer))


@pytest.mark.parametrize("name", ["README.md", *sorted(map(str, ROOT.glob("recipes/*/*.yaml")))])
def test_schema_of_recipes(name: str) -> None:
    """The schema accepts every recipe of the repository, and no misspelt key in it."""
    text = (ROOT / name).read_text(encoding="utf-8")
    if name.endswith(".md"):
        text = text.partition("```yaml\n")[2].partition("```")[0]
    recipe: dict[str, Any] = parse_yaml(text)
    jsonschema.validate(recipe, schema(Recipe))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**recipe, "shedule": {}}, schema(Recipe))


@pytest.mark.parametrize("key", ["rate", "share", "top"])
def test_numbers_are_finite(key: str) -> None:
    """NaN is never a number; infinity is one where a range says so."""
    for value in (math.nan, math.inf, -math.inf, 10**400):
        values = {"inner": {"width": 1}, key: value}
        if key == "top" and value == math.inf:
            assert from_dict(Outer, values).top == math.inf
            continue
        with pytest.raises(ConfigError, match=rf"{key}: expected a (finite )?number"):
            from_dict(Outer, values)


def test_errors_are_short() -> None:
    """Of what was found only the beginning is written, however nested or long it is."""
    nested: list[object] = [1]
    for _ in range(60):
        nested = [nested] * 9
    for value in (nested, {"x" * 10**6: 1}, "x" * 10**6, [[[[[[[[[[]]]]]]]]]]):
        for values in (value, {"inner": value}, {"inner": {"width": value}}, {"mode": value}):
            with pytest.raises(ConfigError) as caught:
                from_dict(Outer, values)
            assert len(str(caught.value)) < 1_000


def test_checked() -> None:
    """A dataclass that was built in Python is checked as one of a file."""
    assert checked(Outer(inner=Inner(width=3))) == Outer(inner=Inner(width=3))
    with pytest.raises(ConfigError, match="share"):
        checked(Outer(inner=Inner(width=3), share=2.0))
