"""Cells of a row are read or refused by name."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from openbind.data.pairs import (
    RowItems,
    name_split,
    read_name,
    read_span,
    read_split,
)


def test_split_names() -> None:
    """Common names of splits are normalized; others are unchanged."""
    assert [name_split(n) for n in ("valid", "Validation", "VAL")] == ["val"] * 3
    assert [name_split(n) for n in ("Train", "test", "fold 1")] == ["train", "test", "fold 1"]
    assert (read_split(" valid "), read_split(""), read_split(3)) == ("val", None, "3")


def test_names() -> None:
    """Labels are interned text; a list isn't a label."""
    assert (read_name(None), read_name(" "), read_name(7)) == (None, None, "7")
    assert read_name("A DOG".lower()) is read_name(" a dog")
    with pytest.raises(ValueError, match="one label"):
        read_name(["dog", "cat"])


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(None, None, None), ("", None, None), ("0", "2.5", (0.0, 2.5)), (1, 3, (1.0, 3.0))],
)
def test_span(start: object, end: object, expected: object) -> None:
    """Both numbers, or neither."""
    assert read_span(start, end) == expected


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (0, None, "or neither, found 0 and None"),
        ("", "2", "or neither"),
        ("00:10", "00:20", "in seconds"),
        ([1], 2, "in seconds"),
        (2, 2, "start < end"),
        (-1, 2, "start < end"),
        ("nan", 2, "start < end"),
        (0, "inf", "start < end"),
    ],
)
def test_bad_spans(start: object, end: object, message: str) -> None:
    """Invalid spans are refused with what was found."""
    with pytest.raises(ValueError, match=message):
        read_span(start, end)


def test_row_items_are_a_mapping() -> None:
    """RowItems equal a dictionary and can be pickled."""
    several = (Path("b.wav"), Path("c.wav"))
    items = RowItems(("image", "audio", "text"), ("a.png", several, ("a dog",)))
    plain = {"image": (Path("a.png"),), "audio": several, "text": ("a dog",)}
    assert items == plain
    assert list(items) == list(plain)
    assert pickle.loads(pickle.dumps(items)) == plain
    assert "depth" not in items
    with pytest.raises(KeyError):
        items["depth"]


def test_relative_paths_start_from_the_root() -> None:
    """A text of a path is kept as it is, and read from the root; an absolute one has none."""
    items = RowItems(("image", "audio"), ("a.png", "/b.wav"), "data")
    assert (items.path_of("image"), items.root) == ("a.png", "data")
    assert items["image"] == (Path("data/a.png"),)
    assert items["audio"] == (Path("/b.wav"),)
