"""A table has each frozen item once; rows without usable items are dropped."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from openbind.data.pairs import Row
from openbind.data.table import Choices, tabulate

A, B, C = Path("a.png"), Path("b.png"), Path("c.png")


def make_rows() -> list[Row]:
    return [
        Row(key="1", items={"image": (A, B), "audio": (Path("1.wav"),)}),
        Row(key="2", items={"image": (B,), "audio": (Path("2.wav"),)}),
        Row(key="3", items={"image": (A,), "audio": (Path("3.wav"),)}, span=(0, 2)),
        Row(key="4", items={"image": (C,), "audio": (Path("4.wav"),)}, span=(0, 2)),
    ]


def test_tabulate() -> None:
    """One entry per item, and one per span of it."""
    table = tabulate(make_rows(), "image")
    assert [(a.item, a.span) for a in table.anchors] == [
        (A, None),
        (B, None),
        (A, (0, 2)),
        (C, (0, 2)),
    ]
    assert list(table.choices) == [(0, 1), (1,), (2,), (3,)]
    assert len({a.key for a in table.anchors}) == 4


def test_extra() -> None:
    """Items without a partner come last, without duplicates."""
    rows = make_rows()
    table = tabulate(rows[:2], "image", [rows[2], Row(key="5", items={"image": (B, C)})])
    assert [(a.item, a.span) for a in table.anchors] == [
        (A, None),
        (B, None),
        (A, (0, 2)),
        (C, None),
    ]
    assert list(table.choices) == [(0, 1), (1,)]
    assert len(table.rows) == 2


def test_without() -> None:
    """Rows with a usable frozen item are kept; indices are renumbered."""
    table = tabulate(make_rows(), "image").without({1: "broken", 3: "broken"})
    assert [row.key for row in table.rows] == ["1", "3"]
    assert [a.item for a in table.anchors] == [A, A]
    assert list(table.choices) == [(0,), (1,)]


def test_only() -> None:
    """Selecting rows doesn't renumber frozen items."""
    table = tabulate(make_rows(), "image").only([1, 3])
    assert [row.key for row in table.rows] == ["2", "4"]
    assert len(table.anchors) == 4
    assert list(table.choices) == [(1,), (3,)]


def test_sample() -> None:
    """Rows are evenly spaced, with only their own frozen items."""
    table = tabulate(make_rows(), "image")
    sample = table.sample(2)
    assert [row.key for row in sample.rows] == ["1", "3"]
    assert [(a.item, a.span) for a in sample.anchors] == [(A, None), (B, None), (A, (0, 2))]
    assert list(sample.choices) == [(0, 1), (2,)]
    assert list(table.sample(99).rows) == list(table.rows)


def test_places_of_chosen_items() -> None:
    """Where a row's frozen item is in its list, the first of equal ones."""
    choices = Choices.of([(4, 2), (7,), (2, 2, 5)])
    rows, anchors = np.array([2, 0, 1, 0, 2]), np.array([5, 2, 7, 4, 2])
    assert choices.places(rows, anchors).tolist() == [2, 1, 0, 0, 0]
