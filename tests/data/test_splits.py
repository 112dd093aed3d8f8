"""Rows are split by name, or by a stable hash of their groups' names."""

from __future__ import annotations

import pytest

from openbind.data.index import RowView
from openbind.data.index_writer import index_rows
from openbind.data.pairs import Row
from openbind.data.splits import choose_fold, choose_split, hold_out
from openbind.errors import ConfigError


def view(*rows: Row) -> RowView:
    return index_rows(rows).rows


def row(key: str, split: str | None = None, group: str | None = None) -> Row:
    return Row(key=key, items={"text": (key,)}, split=split, group=group)


def keys(rows: RowView) -> list[str]:
    return [row.key for row in rows]


ROWS = view(*(row(str(number)) for number in range(1_000)))


def test_choose_split() -> None:
    """Returns the split's rows in order; an unknown split lists the known ones."""
    rows = view(row("a", "train"), row("b", "val"), row("c", "train"), row("d"))
    assert keys(choose_split(rows, "train")) == ["a", "c"]
    assert keys(choose_split(rows, "validation")) == ["b"]
    assert keys(choose_split(rows, None)) == ["a", "b", "c", "d"]
    with pytest.raises(ConfigError, match=r"'test'.*\(none\): 1 rows, train: 2 row"):
        choose_split(rows, "test")
    with pytest.raises(ConfigError, match="no rows at all"):
        choose_split(view(), "test")


def test_hold_out_parts() -> None:
    """Every row is on one side, in order; the fraction is about right."""
    kept, held = hold_out(ROWS, 0.2)
    assert sorted([*keys(kept), *keys(held)], key=int) == keys(ROWS)
    assert keys(kept) == sorted(keys(kept), key=int)
    assert 150 <= len(held) <= 250  # four standard deviations are 51


def test_hold_out_is_steady() -> None:
    """A row's side depends neither on the order nor on other rows."""
    held = set(keys(hold_out(ROWS[:500], 0.2)[1]))
    backwards = set(keys(hold_out(ROWS[499::-1], 0.2)[1]))
    more = set(keys(hold_out(ROWS, 0.2)[1]))
    assert held == backwards == {key for key in more if int(key) < 500}


def test_groups_stay_together() -> None:
    """Windows of one recording are never on both sides, nor in two folds."""
    videos = [(video, moment) for video in range(50) for moment in range(4)]
    rows = view(*(row(f"{video}@{moment}", group=str(video)) for video, moment in videos))
    splits = [hold_out(rows, 0.3), *(choose_fold(rows, 3, fold) for fold in range(3))]
    for kept, held in splits:
        names = [{key.partition("@")[0] for key in keys(side)} for side in (kept, held)]
        assert not names[0] & names[1]
        assert len(names[0] | names[1]) == 50


def test_folds() -> None:
    """Each row is held out once, in folds of about the same size."""
    held = [keys(choose_fold(ROWS, 5, fold)[1]) for fold in range(5)]
    assert sorted((key for fold in held for key in fold), key=int) == keys(ROWS)
    assert {len(fold) for fold in held} == {200}
    with pytest.raises(ConfigError, match="2 groups"):
        choose_fold(ROWS[:2], 3, 0)


@pytest.mark.parametrize("fraction", [1e-9, 0.5, 1 - 1e-9])
def test_hold_out_leaves_no_side_empty(fraction: float) -> None:
    """Two rows are enough for both sides, at any fraction."""
    for start in range(20):
        kept, held = hold_out(ROWS[start : start + 2], fraction)
        assert (len(kept), len(held)) == (1, 1)


@pytest.mark.parametrize(
    ("rows", "fraction"),
    [(ROWS, 0.0), (ROWS, 1.0), (ROWS, float("nan")), (ROWS[:0], 0.5), (ROWS[:1], 0.5)],
)
def test_hold_out_refuses(rows: RowView, fraction: float) -> None:
    """Invalid fractions and too few rows are refused."""
    with pytest.raises(ConfigError):
        hold_out(rows, fraction)


def test_hold_out_refuses_one_group() -> None:
    """Windows of a single recording can't be split."""
    with pytest.raises(ConfigError, match="1 groups"):
        hold_out(view(row("a", group="x"), row("b", group="x")), 0.5)
