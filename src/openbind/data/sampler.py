"""Sampling of rows per step, independent of the number of workers and processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

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


@dataclass(frozen=True)
class PairSize:
    """What the sampler needs to know of a pair.

    Args:
        name: of the pair; random choices depend on it.
        anchors: for each row, the indices of its frozen items.
        views: of each frozen item.
        weight: relative frequency of its batches.
    """

    name: str
    anchors: Sequence[Sequence[int]]
    views: int
    weight: float


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
    """Draws each step's batch; a batch is from one pair (paper, section 3.2).

    A pass visits a pair's rows in random order without repetition; the incomplete last batch is
    dropped, with other rows in each pass. There is no state between steps, so a run can resume at
    any step.

    Args:
        pairs: sizes of all pairs.
        batch_size: rows of a step.
        steps: of the whole run.
        seed: of all choices.

    Raises:
        ConfigError: a pair has fewer rows than one batch.
    """

    def __init__(
        self, pairs: Sequence[PairSize], *, batch_size: int, steps: int, seed: int
    ) -> None:
        for pair in pairs:
            require_batch(pair.name, len(pair.anchors), batch_size)
        self.pairs, self.batch_size, self.steps, self.seed = pairs, batch_size, steps, seed
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

    def batch(self, step: int) -> list[Draw]:
        """Return the draws of one step, for all processes together."""
        index = int(self.pair_of_step[step])
        pair = self.pairs[index]
        turn, position = divmod(int(self.turn_of_step[step]), len(pair.anchors) // self.batch_size)
        rows = self._order(index, turn)[position * self.batch_size :][: self.batch_size]
        rng = view_rng(self.seed, f"{pair.name}/draws", step)
        picks = rng.random((len(rows), 2))
        noises = rng.integers(1 << 62, size=len(rows))
        draws = []
        for row, (anchor, view), noise in zip(rows, picks, noises, strict=True):
            anchors = pair.anchors[row]
            chosen = anchors[int(anchor * len(anchors))]
            draws.append(Draw(index, int(row), chosen, int(view * pair.views), int(noise)))
        return draws

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
        size: number of processes; it divides the batch.
    """

    sampler: Sampler
    start: int
    rank: int = 0
    size: int = 1

    def __iter__(self) -> Iterator[list[Draw]]:
        """Yield this process's part of each step."""
        part = self.sampler.batch_size // self.size
        for step in range(self.start, self.sampler.steps):
            yield self.sampler.batch(step)[self.rank * part :][:part]

    def __len__(self) -> int:
        return self.sampler.steps - self.start
