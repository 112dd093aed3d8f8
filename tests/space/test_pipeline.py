"""Clips are embedded once each, in batches of one shape, in the order of their items."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from openbind.space.pipeline import ClipEmbedder, clip_vectors, map_ahead, unit_rows


def test_each_clip_once() -> None:
    """Equal clips are computed once, in this call and in later ones."""
    seen: list[int] = []

    def embed(clips: torch.Tensor) -> torch.Tensor:
        seen.append(len(clips))
        return clips.sum(dim=1, keepdim=True)

    embedder = ClipEmbedder(embed, batch_size=2)
    a, b, c = torch.tensor([1.0, 2]), torch.tensor([3.0, 4]), torch.tensor([5.0, 6, 7])
    np.testing.assert_array_equal(embedder([a, b, a, c, b]), [[3], [7], [3], [18], [7]])
    assert sorted(seen) == [1, 2]
    embedder([c, a])
    assert sum(seen) == 3


def test_values_decide_not_only_bytes() -> None:
    """Clips of equal bytes but another type or shape are different."""
    embedder = ClipEmbedder(lambda clips: clips.reshape(len(clips), -1).float()[:, :1], 8)
    zero, flat = torch.zeros(4, dtype=torch.int32), torch.zeros(2, 2)
    assert embedder([zero, flat, torch.zeros(4)]).shape == (3, 1)
    assert len(embedder._vectors) == 3


def test_map_ahead_keeps_order_and_bound() -> None:
    """Results in the items' order, never more than `ahead` of the reader; errors at their place."""
    started, lock = [], threading.Lock()

    def work(item: int) -> int:
        with lock:
            started.append(item)
        if item == 5:
            raise ValueError("five")
        return item * item

    results = []
    for index, result in enumerate(map_ahead(work, range(12), workers=2, ahead=3)):
        assert max(started) <= index + 4
        try:
            results.append(result())
        except ValueError as error:
            results.append(str(error))
    assert results == [0, 1, 4, 9, 16, "five", 36, 49, 64, 81, 100, 121]


def test_clip_vectors_carry_times() -> None:
    """An ordinary array with the clips' times."""
    vectors = clip_vectors(np.eye(2, dtype=np.float32), ((0.0, 1.0), (1.0, 2.0)))
    assert vectors.times == ((0.0, 1.0), (1.0, 2.0))
    np.testing.assert_array_equal(vectors, np.eye(2))


def test_unit_rows() -> None:
    """Length 1 to the last bit but one; a row of zeros stays."""
    rows = unit_rows(np.array([[3.0, 4.0], [0.0, 0.0], [1e-20, 0]], np.float32))
    np.testing.assert_allclose(rows[0], [0.6, 0.8], atol=1e-7)
    assert rows.dtype == np.float32
    assert not rows[1].any()


@pytest.mark.parametrize("size", [1, 3, 100])
def test_batches(size: int) -> None:
    """Any batch size gives the same rows."""
    clips = [torch.full((2,), float(i)) for i in range(7)]
    found = ClipEmbedder(lambda batch: batch * 2, size)(clips)
    np.testing.assert_array_equal(found, np.arange(7)[:, None].repeat(2, 1) * 2)
