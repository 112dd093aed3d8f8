"""Many requests, one tower: each gets its own vectors, nobody waits for long, no thread dies."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from typing import Any

import numpy as np
import pytest
import torch

import openbind
from openbind.serving.batching import BATCH_TOKENS, Batcher, ItemRefusedError, Overloaded
from openbind.serving.limits import Limits


class Slow:
    """A space whose towers wait until they are let go, and note what they are given."""

    def __init__(self, space: openbind.Space) -> None:
        self.space = space
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.batches: list[torch.Tensor] = []
        self.fails = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.space, name)

    def embed_tensors(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        self.batches += tensors.values()
        self.entered.set()
        assert self.gate.wait(30)
        if self.fails:
            raise RuntimeError("out of memory")
        return self.space.embed_tensors(tensors)


@pytest.fixture
def slow(starter: openbind.Space) -> Slow:
    """The starter, held up."""
    return Slow(starter)


@pytest.fixture
def make(slow: Slow) -> Iterator[Callable[..., Batcher]]:
    """Make batchers of the held-up space; they are let go and closed at the end."""
    made: list[Batcher] = []

    def create(**limits: Any) -> Batcher:
        made.append(Batcher(slow, Limits(**limits)))  # type: ignore[arg-type]
        return made[-1]

    yield create
    slow.gate.set()
    for batcher in made:
        batcher.close()


def wait_for(batcher: Batcher, pieces: int) -> None:
    """Wait until so many items are decoded."""
    with batcher._changed:
        assert batcher._changed.wait_for(lambda: len(batcher._waiting) >= pieces, 30)


def test_vectors_are_those_of_encode(starter: openbind.Space, index: openbind.Index) -> None:
    """Items of all kinds, sent at once, each come back with their own vector."""
    texts = ["a dog", "rain on a roof at night in the old town", "a", "the rooster crows"]
    batcher = Batcher(starter, Limits())
    asked = [(hit.modality, [hit.path.read_bytes()]) for hit in index.sample(99, 0)[0]]
    asked += [("text", texts), ("text", texts[1:2])]
    futures = [batcher.embed(modality, items) for modality, items in asked]
    for (modality, items), future in zip(asked, futures, strict=True):
        found = future.result(60)
        np.testing.assert_allclose(found.vectors_NE, starter.encode(modality, items), atol=1e-6)
        assert (found.tokens > 0) == (modality == "text")
    assert batcher.backlog_seconds == 0
    batcher.close()


def test_what_arrives_together_goes_together(slow: Slow, make: Callable[..., Batcher]) -> None:
    """While one request is at work, thirty others wait; they are one batch."""
    batcher = make()
    futures = [batcher.embed("text", ["first"])]
    assert slow.entered.wait(30)
    futures += [batcher.embed("text", [f"number {n}"]) for n in range(30)]
    wait_for(batcher, 30)
    slow.gate.set()
    wait(futures, 30)
    assert [len(batch) for batch in slow.batches] == [1, 30]


def test_batches_are_bounded_by_tokens(slow: Slow, make: Callable[..., Batcher]) -> None:
    """Short texts aren't filled up to a long one beside them; no batch exceeds its tokens."""
    batcher = make()
    slow.gate.set()
    texts = ["dog " * (200 if n % 4 == 0 else 2) for n in range(80)]
    batcher.embed("text", texts).result(60)
    assert sum(map(len, slow.batches)) == 80
    for ids_BN in slow.batches:
        lengths_B = (ids_BN != 0).sum(dim=1)
        assert len(ids_BN) * int(lengths_B.max()) <= BATCH_TOKENS
        assert len(set(lengths_B.tolist())) == 1


def test_a_question_does_not_wait_for_a_thousand_texts(
    slow: Slow, make: Callable[..., Batcher]
) -> None:
    """Requests share the tower: the small one is done long before the large one."""
    batcher = make(wait_seconds=1e9)
    large = batcher.embed("text", ["a longer text with several words " * 8] * 200)
    wait_for(batcher, 100)  # the first batch has some of them already
    small = batcher.embed("text", ["a question of about as many words, more or less, " * 6])
    with batcher._changed:
        arrived = lambda: any(p.request.left == 1 for p in batcher._waiting)  # noqa: E731
        assert batcher._changed.wait_for(arrived, 30)
    slow.gate.set()
    small.result(30)
    assert not large.done()
    assert len(large.result(60).vectors_NE) == 200


def test_overload(slow: Slow, make: Callable[..., Batcher]) -> None:
    """More work than may wait is refused with a time; what was taken is done."""
    batcher = make(wait_seconds=1.0)
    first = batcher.embed("text", ["x"] * 2000)  # on its own, any request is taken
    with pytest.raises(Overloaded) as refused:
        batcher.embed("text", ["y"])
    assert 1 <= refused.value.retry_seconds <= 60
    slow.gate.set()
    assert len(first.result(60).vectors_NE) == 2000
    assert batcher.embed("text", ["y"]).result(30).vectors_NE.shape == (1, 512)


def test_one_bad_item(starter: openbind.Space, png: bytes) -> None:
    """It is named by its place; other requests of the same batch don't notice."""
    batcher = Batcher(starter, Limits(characters=100))
    bad = batcher.embed("image", [png, png, b"no image", png])
    long = batcher.embed("text", ["a", "b" * 101])
    good = batcher.embed("image", [png])
    with pytest.raises(ItemRefusedError, match="not a image") as refused:
        bad.result(30)
    assert refused.value.place == 2
    with pytest.raises(ItemRefusedError, match="101 characters") as refused:
        long.result(30)
    assert refused.value.place == 1
    np.testing.assert_allclose(
        good.result(30).vectors_NE[0], starter.encode("image", png), atol=1e-6
    )
    batcher.close()


def test_a_failing_tower(slow: Slow, make: Callable[..., Batcher]) -> None:
    """The requests of its batch are told; the next ones are served."""
    batcher = make()
    slow.fails = True
    slow.gate.set()
    with pytest.raises(RuntimeError, match="out of memory"):
        batcher.embed("text", ["x"]).result(30)
    slow.fails = False
    assert batcher.embed("text", ["x"]).result(30).vectors_NE.shape == (1, 512)
    assert batcher.backlog_seconds == 0


def test_memory_of_decoded_items_is_bounded(
    slow: Slow, make: Callable[..., Batcher], png: bytes
) -> None:
    """Decoders wait for room instead of running ahead of the towers."""
    batcher = make(decoded_bytes=4_000_000)
    future = batcher.embed("image", [png] * 40)
    assert slow.entered.wait(30)
    wait_for(batcher, 5)
    assert not future.done()
    with batcher._changed:
        assert not batcher._changed.wait_for(lambda: len(batcher._waiting) > 8, 0.3)
    slow.gate.set()
    assert len(future.result(60).vectors_NE) == 40


def test_close(slow: Slow, make: Callable[..., Batcher]) -> None:
    """What was taken is finished, nothing more is taken."""
    batcher = make()
    future = batcher.embed("text", ["x"])
    assert slow.entered.wait(30)
    closing = threading.Thread(target=batcher.close)
    closing.start()
    with batcher._changed:
        batcher._changed.wait_for(lambda: batcher._closing, 30)
    with pytest.raises(Overloaded):
        batcher.embed("text", ["y"])
    assert not future.done()
    slow.gate.set()
    closing.join(30)
    assert future.done()
    assert not closing.is_alive()
