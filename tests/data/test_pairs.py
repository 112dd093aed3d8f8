"""Rows are split by name, or by a stable hash of their keys."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from openbind.data.pairs import (
    Row,
    RowItems,
    choose_split,
    hold_out,
    name_split,
    read_name,
    read_span,
    read_split,
)
from openbind.errors import ConfigError


def row(key: str, split: str | None = None, recording: str | None = None) -> Row:
    return Row(key=key, items={"text": (key,)}, split=split, recording=recording)


ROWS = [row(str(number)) for number in range(1_000)]


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


def test_choose_split() -> None:
    """Returns the split's rows in order; an unknown split lists the known ones."""
    rows = [row("a", "train"), row("b", "val"), row("c", "train"), row("d")]
    assert [r.key for r in choose_split(rows, "train")] == ["a", "c"]
    assert [r.key for r in choose_split(rows, "validation")] == ["b"]
    assert choose_split(rows, None) == rows
    with pytest.raises(ConfigError, match=r"'test'.*train: 2 row"):
        choose_split(rows, "test")
    with pytest.raises(ConfigError, match="no rows at all"):
        choose_split([], "test")


def test_hold_out_parts() -> None:
    """Every row is on one side, in order; the fraction is about right."""
    kept, held = hold_out(ROWS, 0.2, seed=0)
    assert sorted([*kept, *held], key=lambda r: int(r.key)) == ROWS
    assert kept == sorted(kept, key=lambda r: int(r.key))
    assert 150 <= len(held) <= 250  # four standard deviations are 51
    other = hold_out(ROWS, 0.2, seed=1)[1]
    assert len({r.key for r in held} & {r.key for r in other}) < 100


def test_hold_out_is_steady() -> None:
    """A row's side depends neither on the order nor on other rows."""
    held = {r.key for r in hold_out(ROWS[:500], 0.2, seed=0)[1]}
    backwards = {r.key for r in hold_out(ROWS[:500][::-1], 0.2, seed=0)[1]}
    more = {r.key for r in hold_out(ROWS, 0.2, seed=0)[1]}
    assert held == backwards == {key for key in more if int(key) < 500}


def test_hold_out_keeps_recordings_together() -> None:
    """Windows of one recording are never on both sides."""
    rows = [row(f"{video}@{t}", recording=str(video)) for video in range(50) for t in range(4)]
    kept, held = hold_out(rows, 0.3, seed=0)
    videos = ({r.recording for r in kept}, {r.recording for r in held})
    assert not videos[0] & videos[1]
    assert len(videos[0] | videos[1]) == 50


@pytest.mark.parametrize("fraction", [1e-9, 0.5, 1 - 1e-9])
def test_hold_out_leaves_no_side_empty(fraction: float) -> None:
    """Two rows are enough for both sides, at any fraction."""
    for seed in range(20):
        kept, held = hold_out(ROWS[:2], fraction, seed)
        assert (len(kept), len(held)) == (1, 1)


@pytest.mark.parametrize(
    ("rows", "fraction"),
    [(ROWS, 0.0), (ROWS, 1.0), (ROWS, float("nan")), ([], 0.5), (ROWS[:1], 0.5)],
)
def test_hold_out_refuses(rows: list[Row], fraction: float) -> None:
    """Invalid fractions and too few rows are refused."""
    with pytest.raises(ConfigError):
        hold_out(rows, fraction, seed=0)


def test_hold_out_refuses_one_recording() -> None:
    """Windows of a single recording can't be split."""
    with pytest.raises(ConfigError, match="one recording"):
        hold_out([row("a", recording="x"), row("b", recording="x")], 0.5, seed=0)


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
