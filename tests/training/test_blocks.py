"""Blocks are computed once, whatever the number of processes, and joined into one mapped file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openbind.errors import CheckpointError
from openbind.training import blocks as module
from openbind.training.blocks import BlockRows, fill_blocks, read_joined, split_blocks
from openbind.training.distributed import World

COUNT = 30  # blocks of 8, 8, 8 and 6


class Source:
    """Items of one row each, whose values are their numbers; every tenth can't be used."""

    def __init__(self, state: str = "s") -> None:
        self.state, self.computed = state, list[int]()

    def describe(self, block: range) -> str:
        return f"{self.state}{block.start}"

    def compute(self, blocks: Sequence[range]) -> Iterator[BlockRows]:
        for block in blocks:
            self.computed += block
            usable = [i for i in block if i % 10]
            yield BlockRows(
                np.array(usable, np.float32)[:, None],
                np.array([i % 10 > 0 for i in block], np.int32),
                {i: f"no {i}" for i in block if not i % 10},
            )

    def fill(self, folder: Path | None, world: World | None = None) -> BlockRows:
        return fill_blocks(folder, COUNT, self.describe, self.compute, world or World())


def check(found: BlockRows) -> None:
    assert found.values_MD[:, 0].tolist() == [i for i in range(COUNT) if i % 10]
    assert found.counts.tolist() == [int(i % 10 > 0) for i in range(COUNT)]
    assert found.skipped == {i: f"no {i}" for i in (0, 10, 20)}


def test_split() -> None:
    """All items are in one block each; blocks of millions stay small."""
    for count in (1, 8, 9, 100, 5_000, 2_000_000):
        blocks = split_blocks(count)
        assert [block.start for block in blocks[1:]] == [block.stop for block in blocks[:-1]]
        assert (blocks[0].start, blocks[-1].stop) == (0, count)
        assert max(map(len, blocks)) <= 1024


def test_once(tmp_path: Path) -> None:
    """Rows are computed once for a state; without a folder each time."""
    source = Source()
    check(source.fill(None))
    check(source.fill(tmp_path))
    check(source.fill(tmp_path))
    assert len(source.computed) == 2 * COUNT
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "counts.npy",
        "joined.json",
        "values.npy",
    ]
    changed = Source("t")
    check(changed.fill(tmp_path))
    assert len(changed.computed) == COUNT


def test_processes_share_and_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process computes its blocks; after one is killed, others do what is missing."""
    states = {number: f"s{number * 8}" for number in range(4)}
    answers: list[Any] = []
    monkeypatch.setattr(module, "gather_objects", lambda value, world: answers.pop(0) or [value])
    monkeypatch.setattr(World, "wait", lambda self: None)
    parts = [{n: s for n, s in states.items() if n % 3 == rank} for rank in range(3)]
    source = Source()
    answers += [parts, [False, False, False]]
    with pytest.raises(CheckpointError, match="isn't there"):  # the others didn't come
        source.fill(tmp_path, World(rank=0, size=3))
    assert source.computed == [*range(8), *range(24, 30)]
    source.computed.clear()
    answers += [None, None]
    check(source.fill(tmp_path))  # alone
    assert source.computed == [*range(8, 24)]


def test_damage(tmp_path: Path) -> None:
    """A damaged file counts as none; nothing usable is fine."""
    source = Source()
    source.fill(tmp_path)
    (tmp_path / "values.npy").write_bytes(b"x")
    check(source.fill(tmp_path))
    assert len(source.computed) == 2 * COUNT
    assert read_joined(tmp_path, ["another"]) is None

    def nothing(blocks: Sequence[range]) -> Iterator[BlockRows]:
        for block in blocks:
            none = np.empty((0, 2), np.float32)
            yield BlockRows(none, np.zeros(len(block), np.int32), dict.fromkeys(block, "no"))

    found = fill_blocks(tmp_path, 9, lambda block: f"n{block}", nothing, World())
    assert (found.values_MD.shape, len(found.skipped)) == ((0, 2), 9)
