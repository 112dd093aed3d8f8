"""A step's rows depend only on seed and step; a pass visits each row once."""

from __future__ import annotations

from collections import Counter

import pytest

from openbind.data.sampler import PairSize, Sampler, StepBatches
from openbind.data.table import Choices
from openbind.errors import ConfigError


def make_sampler(seed: int = 0, steps: int = 40) -> Sampler:
    sizes = [
        PairSize("a", Choices.of([(row,) for row in range(22)]), views=3, weight=1),
        PairSize("b", Choices.of([(0, 1)] * 9), views=1, weight=3),
    ]
    return Sampler(sizes, batch_size=4, steps=steps, seed=seed)


def test_same_seed() -> None:
    """A step's batch doesn't depend on the order of the calls."""
    sampler = make_sampler()
    forwards = [list(sampler.batches(step)[0]) for step in range(40)]
    backwards = [list(make_sampler().batches(step)[0]) for step in reversed(range(40))][::-1]
    assert forwards == backwards
    assert forwards != [list(make_sampler(seed=1).batches(step)[0]) for step in range(40)]


def test_one_pair_a_batch() -> None:
    """A batch is of one pair; pairs are drawn in proportion to their weights."""
    sampler = make_sampler(steps=400)
    pairs = [{draw.pair for draw in sampler.batches(step)[0]} for step in range(400)]
    assert all(len(found) == 1 for found in pairs)
    share = sum(found == {1} for found in pairs) / 400
    assert 0.65 < share < 0.85


def test_passes() -> None:
    """Each pass visits a row at most once, and drops only the incomplete batch."""
    sizes = [PairSize("a", Choices.of([(row,) for row in range(22)]), views=3, weight=1)]
    sampler = Sampler(sizes, batch_size=4, steps=50, seed=0)
    for turn in range(10):
        rows = [d.row for step in range(turn * 5, turn * 5 + 5) for d in sampler.batches(step)[0]]
        assert len(rows) == len(set(rows)) == 20
    counted = Counter(d.row for step in range(50) for d in sampler.batches(step)[0])
    assert len(counted) == 22


def test_draws() -> None:
    """Frozen items and views are drawn from all those of a row."""
    sampler = make_sampler(steps=200)
    draws = [draw for step in range(200) for draw in sampler.batches(step)[0]]
    assert all(d.anchor == d.row for d in draws if d.pair == 0)
    assert {d.anchor for d in draws if d.pair == 1} == {0, 1}
    assert {d.view for d in draws if d.pair == 0} == {0, 1, 2}
    assert len({d.noise for d in draws}) == len(draws)


def test_processes() -> None:
    """The parts of all processes together are the batch of one, in order."""
    sampler = make_sampler()
    parts = [list(StepBatches(sampler, 7, rank, 2)) for rank in (0, 1)]
    whole = [list(draws) for draws in StepBatches(sampler, 7)]
    assert [[*a, *b] for a, b in zip(*parts, strict=True)] == whole
    assert len(StepBatches(sampler, 7)) == 33


def test_too_few() -> None:
    """A pair smaller than a batch is refused by name."""
    with pytest.raises(ConfigError, match=r"c: 3 rows are too few for a batch of 4"):
        Sampler([PairSize("c", Choices.of([(0,)] * 3), 1, 1)], batch_size=4, steps=1, seed=0)


def test_together() -> None:
    """Each step has a batch of every pair, of its own size; passes are each pair's own."""
    sizes = [
        PairSize("a", Choices.of([(row,) for row in range(22)]), views=1, weight=1),
        PairSize("b", Choices.of([(row,) for row in range(9)]), views=1, weight=3, batch_size=2),
    ]
    sampler = Sampler(sizes, batch_size=4, steps=20, seed=0, together=True)
    steps = [sampler.batches(step) for step in range(20)]
    assert [[(d.pair, len(b)) for b in step for d in b[:1]] for step in steps] == [
        [(0, 4), (1, 2)]
    ] * 20
    for pair, passes in ((0, 5), (1, 4)):
        rows = [draw.row for step in steps[:passes] for draw in step[pair]]
        assert len(rows) == len(set(rows))
    parts = [list(StepBatches(sampler, 18, rank, 2)) for rank in (0, 1)]
    whole = [list(draws) for step in steps[18:] for draws in step]
    assert [[*a, *b] for a, b in zip(*parts, strict=True)] == whole
    assert len(StepBatches(sampler, 18)) == 4
