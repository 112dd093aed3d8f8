"""Modalities and filters become one condition of the store."""

from __future__ import annotations

import pytest

from openbind.errors import InputError
from openbind.search.conditions import write_condition

KNOWN = ("image", "audio")


def test_conditions() -> None:
    """None without any; both are joined, as text or as a tree."""
    tree = {"column": "year", "op": ">", "value": 2020}
    assert write_condition(KNOWN, [], None) is write_condition(KNOWN, [], "  ") is None
    joined = write_condition(KNOWN, ["audio"], tree)
    assert joined == write_condition(KNOWN, ["audio"], "year > 2020")
    assert joined == write_condition(KNOWN, ["audio"], [" ", tree])
    both = write_condition(KNOWN, [], ["year > 2020 or year < 1990", tree])
    assert both is not None
    assert both.count("AND") == 1
    assert joined is not None
    assert "'audio'" in joined
    assert " AND " in joined


def test_unknown_modalities_are_refused() -> None:
    """By name, with those that there are."""
    with pytest.raises(InputError, match="image, audio") as caught:
        write_condition(KNOWN, ["smell"], None)
    assert caught.value.item == "smell"
