"""Frozen items stand in a table once, and rows go with those of theirs that can be used."""

from __future__ import annotations

from pathlib import Path

from openbind.data.pairs import Row
from openbind.data.table import tabulate

A, B, C = Path("a.png"), Path("b.png"), Path("c.png")


def make_rows() -> list[Row]:
    return [
        Row(key="1", items={"image": (A, B), "audio": (Path("1.wav"),)}),
        Row(key="2", items={"image": (B,), "audio": (Path("2.wav"),)}),
        Row(key="3", items={"image": (A,), "audio": (Path("3.wav"),)}, span=(0, 2)),
        Row(key="4", items={"image": (C,), "audio": (Path("4.wav"),)}, span=(0, 2)),
    ]


def test_tabulate() -> None:
    """One entry for each item, and one more for each part of it that is meant."""
    table = tabulate(make_rows(), "image")
    assert [(a.item, a.span) for a in table.anchors] == [
        (A, None),
        (B, None),
        (A, (0, 2)),
        (C, (0, 2)),
    ]
    assert table.choices == [(0, 1), (1,), (2,), (3,)]
    assert len({a.key for a in table.anchors}) == 4


def test_others() -> None:
    """Items without a partner come after the others, each once."""
    rows = make_rows()
    table = tabulate(rows[:2], "image", [rows[2], Row(key="5", items={"image": (B, C)})])
    assert [(a.item, a.span) for a in table.anchors] == [
        (A, None),
        (B, None),
        (A, (0, 2)),
        (C, None),
    ]
    assert table.choices == [(0, 1), (1,)]
    assert len(table.rows) == 2


def test_without() -> None:
    """Rows stay as long as one of their frozen items is usable; indices are made again."""
    table = tabulate(make_rows(), "image").without({1: "broken", 3: "broken"})
    assert [row.key for row in table.rows] == ["1", "3"]
    assert [a.item for a in table.anchors] == [A, A]
    assert table.choices == [(0,), (1,)]


def test_only() -> None:
    """Choosing rows leaves the frozen items where they are."""
    table = tabulate(make_rows(), "image").only([1, 3])
    assert [row.key for row in table.rows] == ["2", "4"]
    assert len(table.anchors) == 4
    assert table.choices == [(1,), (3,)]
