"""Labels and templates are counted before a prompt is built."""

from __future__ import annotations

import tracemalloc

import pytest

from openbind.errors import InputError
from openbind.serving.limits import Limits
from openbind.serving.prompts import write_prompts


def test_order() -> None:
    """The prompts of a label are together."""
    assert write_prompts(1, ["a", "b"], ["{}", "x {}"], Limits()) == ["a", "x a", "b", "x b"]


@pytest.mark.parametrize(
    ("items", "labels", "templates", "name"),
    [
        (1, ["a"] * 5, ["{}"] * 3, "labels × templates"),
        (9, ["a"] * 5, ["{}"], "input × labels"),
        (1, ["a", "b" * 51], ["{}"], "labels[1]"),
        (1, ["a", "b"], ["{}", "{}" + "x" * 50], "templates[1]"),
        (1, ["a" * 40, "b" * 40], ["{}"] * 5, "labels × templates"),
        (1, ["a", " "], ["{}"], "labels[1]"),
        (1, ["a", "b"], ["{}", "no place"], "templates[1]"),
    ],
)
def test_limits(items: int, labels: list[str], templates: list[str], name: str) -> None:
    """Of prompts, probabilities, characters of one and of all."""
    limits = Limits(items=10, scores=40, characters=100, body_bytes=300)
    with pytest.raises(InputError) as raised:
        write_prompts(items, labels, templates, limits)
    assert raised.value.item == name


def test_nothing_is_built_before() -> None:
    """Two labels of 4 MB in a thousand templates would be 8 GB."""
    labels, templates = ["x" * (4 << 20), "y" * (4 << 20)], ["{}"] * 1000
    tracemalloc.start()
    with pytest.raises(InputError):
        write_prompts(1, labels, templates, Limits())
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
