"""Sampling of rows per step, independent of the number of workers and processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import overload

import numpy as np

from openbind.data.table import Choices
from openbind.data.views import view_rng
from openbind.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Draw:
    """One sample of a batch.

    Args:
        pair: index of the pair.
        row: index in that pair's table.
        anchor: index of its frozen item in the table.
        view: index of that item's view.
        noise: seed of the trained side's augmentations.
    """

    pair: int
    row: int
    anchor: int
    view: int
    noise: int


@dataclass(frozen=True, eq=False)
class Draws(Sequence[Draw]):
    """The samples of a batch, all of one pair, as columns: a step makes no object of each.

    Args:
        pair: index of the pair.
        rows_B, anchors_B, views_B, noises_B: int64, see `Draw`.
    """

    pair: int
    rows_B: np.ndarray
    anchors_B: np.ndarray
    views_B: np.ndarray
    noises_B: np.ndarray

    @classmethod
    def of(cls, draws: Sequence[Draw]) -> Draws:
        """Join samples of one pair."""
        columns = np.array([(d.row, d.anchor, d.view, d.noise) for d in draws], np.int64)
        return cls(draws[0].pair, *columns.T)

    def __len__(self) -> int:
        return len(self.rows_B)

    @overload
    def __getitem__(self, key: int) -> Draw: ...

    @overload
    def __getitem__(self, key: slice | list[int]) -> Draws: ...

    def __getitem__(self, key: int | slice | list[int]) -> Draw | Draws:
        columns = (self.rows_B, self.anchors_B, self.views_B, self.noises_B)
        if isinstance(key, int):
            return Draw(self.pair, *(int(column[key]) for column in columns))
        return Draws(self.pair, *(column[key] for column in columns))


@dataclass(frozen=True)
class PairSize:
    """What the sampler needs to know of a pair.

    Args:
        name: of the pair; random choices depend on it.
        anchors: for each row, the indices of its frozen items.
        views: of each frozen item.
        weight: relative frequency of its batches.
        batch_size: rows of its batches; None is the sampler's.
    """

    name: str
    anchors: Choices
    views: int
    weight: float
    batch_size: int | None = None


def require_batch(name: str, rows: int, batch_size: int) -> None:
    """Check that a pair has enough rows for a batch.

    Raises:
        ConfigError: it has fewer.
    """
    if rows < batch_size:
        raise ConfigError(
            f"{name}: {rows} rows are too few for a batch of {batch_size}; "
            "lower batch_size or add data"
        )


class Sampler:
    """Draws the batches of each step: one of one pair (paper, section 3.2), or one of every pair.

    A pass visits a pair's rows in random order without repetition; the incomplete last batch is
    dropped, with other rows in each pass. There is no state between steps, so a run can resume at
    any step.

    Args:
        pairs: sizes of all pairs.
        batch_size: rows of a batch.
        steps: of the whole run.
        seed: of all choices.
        together: every step has a batch of every pair.

    Raises:
        ConfigError: a pair has fewer rows than one batch.
    """

    def __init__(
        self,
        pairs: Sequence[PairSize],
        *,
        batch_size: int,
        steps: int,
        seed: int,
        together: bool = False,
    ) -> None:
        self.sizes = [pair.batch_size or batch_size for pair in pairs]
        for pair, size in zip(pairs, self.sizes, strict=True):
            require_batch(pair.name, len(pair.anchors), size)
        self.pairs, self.steps, self.seed, self.together = pairs, steps, seed, together
        weights = np.array([pair.weight for pair in pairs], np.float64)
        rng = view_rng(seed, "order of pairs", 0)
        self.pair_of_step = rng.choice(len(pairs), size=steps, p=weights / weights.sum())
        before = np.zeros(steps, np.int64)
        for index in range(len(pairs)):
            chosen = self.pair_of_step == index
            before[chosen] = np.arange(chosen.sum())
        self.turn_of_step = before
        # Shuffling millions of rows takes a while; only the current pass is cached.
        self._order = lru_cache(maxsize=len(pairs))(self._shuffle)

    @property
    def batches_a_step(self) -> int:
        """Number of batches of each step."""
        return len(self.pairs) if self.together else 1

    def batches(self, step: int) -> list[Draws]:
        """Return the draws of one step, batch by batch, for all processes together."""
        if self.together:
            return [self._draw(index, step, step) for index in range(len(self.pairs))]
        return [self._draw(int(self.pair_of_step[step]), step, int(self.turn_of_step[step]))]

    def _draw(self, index: int, step: int, count: int) -> Draws:
        """Draw a batch of a pair, of which `count` batches were drawn before."""
        pair, size = self.pairs[index], self.sizes[index]
        turn, position = divmod(count, len(pair.anchors) // size)
        rows = self._order(index, turn)[position * size :][:size]
        rng = view_rng(self.seed, f"{pair.name}/draws", step)
        picks = rng.random((len(rows), 2))
        noises = rng.integers(1 << 62, size=len(rows))
        anchors = pair.anchors.pick(rows, picks[:, 0])
        views = (picks[:, 1] * pair.views).astype(np.int64)
        return Draws(index, rows, anchors, views, noises)

    def _shuffle(self, index: int, turn: int) -> np.ndarray:
        pair = self.pairs[index]
        rng = view_rng(self.seed, f"{pair.name}/pass", turn)
        order: np.ndarray = rng.permutation(len(pair.anchors))
        return order


@dataclass(frozen=True)
class StepBatches:
    """The batches of one process from some step on: a batch sampler for PyTorch's `DataLoader`.

    Args:
        sampler: of all processes.
        start: first step.
        rank: of this process.
        size: number of processes; it divides every batch.
    """

    sampler: Sampler
    start: int
    rank: int = 0
    size: int = 1

    def __iter__(self) -> Iterator[Draws]:
        """Yield this process's part of each batch, step after step."""
        for step in range(self.start, self.sampler.steps):
            for batch in self.sampler.batches(step):
                part = len(batch) // self.size
                yield batch[self.rank * part :][:part]

    def __len__(self) -> int:
        return (self.sampler.steps - self.start) * self.sampler.batches_a_step
