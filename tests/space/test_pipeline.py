"""Clips go through towers in batches of one shape, each different clip once, in order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from openbind.errors import InputError
from openbind.modalities.spec import Sample
from openbind.space import pipeline
from openbind.space.pipeline import Batching, ClipEmbedder, run_tasks


def test_each_clip_once() -> None:
    """Equal clips are computed once, in this call and in later ones."""
    seen: list[int] = []

    def compute(modality: str, clips: torch.Tensor) -> torch.Tensor:
        seen.append(len(clips))
        return clips.sum(dim=1, keepdim=True)

    embedder = ClipEmbedder(Batching(compute, 2))
    a, b, c = torch.tensor([1.0, 2]), torch.tensor([3.0, 4]), torch.tensor([5.0, 6, 7])
    np.testing.assert_array_equal(embedder("m", [a, b, a, c, b]), [[3], [7], [3], [18], [7]])
    assert sorted(seen) == [1, 2]
    embedder("m", [c, a])
    assert sum(seen) == 3
    embedder("other", [a])
    assert sum(seen) == 4


def test_values_decide_not_only_bytes() -> None:
    """Clips of equal bytes but another type or shape are different."""
    counted = []

    def compute(modality: str, clips: torch.Tensor) -> torch.Tensor:
        counted.append(len(clips))
        return clips.reshape(len(clips), -1).float()[:, :1]

    zero, flat = torch.zeros(4, dtype=torch.int32), torch.zeros(2, 2)
    assert len(ClipEmbedder(Batching(compute, 8))("m", [zero, flat, torch.zeros(4)])) == 3
    assert sum(counted) == 3


@pytest.mark.parametrize("size", [1, 3, 100])
def test_batches(size: int) -> None:
    """Any batch size returns the same rows."""
    clips = [torch.full((2,), float(i)) for i in range(7)]
    found = ClipEmbedder(Batching(lambda modality, batch: batch * 2, size))("m", clips)
    np.testing.assert_array_equal(found, np.arange(7)[:, None].repeat(2, 1) * 2)


def test_text_is_batched_by_length() -> None:
    """Token ids of like lengths go together, so that little of a batch is padding."""
    lengths: list[list[int]] = []

    def compute(modality: str, ids_BN: torch.Tensor) -> torch.Tensor:
        lengths.append((ids_BN > 0).sum(dim=1).tolist())
        return ids_BN.sum(dim=1, keepdim=True).float()

    texts = [torch.tensor([n + 1] * n + [0] * (9 - n)) for n in (1, 8, 2, 7, 3, 6)]
    found = ClipEmbedder(Batching(compute, 2))("text", texts)
    assert lengths == [[1, 2], [3, 6], [7, 8]]
    assert [row[0] for row in found] == [n * (n + 1) for n in (1, 8, 2, 7, 3, 6)]


def test_large_clips_make_small_batches() -> None:
    """The default batch shrinks with the clips' size; what the caller says holds."""
    small, large = torch.zeros(3, 224, 224), torch.zeros(3, 448, 448)
    batching = Batching(lambda modality, clips: clips)
    assert batching.clips_of(small) == 4 * batching.clips_of(large)
    assert Batching(lambda modality, clips: clips, 5).clips_of(large) == 5


def decode(task: int) -> Iterator[Sample]:
    """Yield as many samples as the task says, the second last clip of which is broken for 3."""
    if task == 3:
        raise InputError("three", "broken")
    if task == 4:
        raise FileNotFoundError(2, "no such file", "four")
    for number in range(task):
        yield Sample(torch.full((2, 2), float(10 * task + number)))


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_tasks_finish_in_order(batch_size: int) -> None:
    """Tasks of none, one and many samples, and broken ones, come back in order."""
    tasks = [("b" if task % 2 else "a", task) for task in (2, 0, 3, 1, 4, 40, 5)]
    batching = Batching(lambda modality, clips: clips + (modality == "b"), batch_size)
    found = list(run_tasks(tasks, decode, batching))
    assert [done.task for done in found] == [2, 0, 3, 1, 4, 40, 5]
    assert [done.error.reason if done.error else None for done in found] == [
        None, None, "broken", None, "no such file", None, None]  # fmt: skip
    for done in found:
        if done.error is None:
            firsts = [vectors[0, 0] for vectors in done.vectors]
            odd = done.task % 2
            assert firsts == [10 * done.task + n + odd for n in range(done.task)]


def test_other_errors_are_raised() -> None:
    """A fault of the program isn't a broken item."""

    def fail(task: int) -> Iterator[Sample]:
        raise ZeroDivisionError
        yield

    with pytest.raises(ZeroDivisionError):
        list(run_tasks([("m", 1)], fail, Batching(lambda modality, clips: clips)))


@pytest.mark.parametrize(("seconds", "times"), [(0.0, 5), (3600.0, 0)])
def test_free_memory_is_returned(
    seconds: float, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a long task, too, but not more often than every so many seconds."""
    calls: list[None] = []
    monkeypatch.setattr(pipeline, "RELEASE_SECONDS", seconds)
    monkeypatch.setattr(pipeline, "release_free", lambda: calls.append(None))

    def decode(task: int) -> Iterator[Sample]:
        for value in range(8):
            yield Sample(torch.full((1, 2), float(value)))

    batching = Batching(lambda modality, clips: clips, batch_size=2)
    (found,) = run_tasks([("m", 0)], decode, batching, workers=1)
    assert len(found.vectors) == 8
    assert len(calls) == times  # of four batches, and at the end
