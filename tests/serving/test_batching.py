"""Many requests, one tower: each gets its own vectors, none waits for long, no thread dies."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from typing import Any

import numpy as np
import pytest
import torch

import openbind
from openbind.errors import InputError
from openbind.limits import SERVICE
from openbind.modalities.spec import Sample
from openbind.serving.batching import Batcher, ItemError
from openbind.serving.decoders import Abandoned
from openbind.serving.limits import Limits
from openbind.serving.work import EmbeddingResult, OverloadedError
from openbind.space.pipeline import Batching


class Slow:
    """A space that decodes and embeds only while a gate is open, and records the batches."""

    def __init__(self, space: openbind.Space) -> None:
        self.space = space
        self.decoding = threading.Event()
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.batches: list[torch.Tensor] = []
        self.fails = self.poisoned = False
        self.decoding.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.space, name)

    @property
    def decoder(self) -> Slow:
        return self

    def samples(self, modality: str, item: Any) -> Iterator[Sample]:
        assert self.decoding.wait(30)
        return self.space.decoder.samples(modality, item)

    def batching(self) -> Batching:
        return Batching(self.compute)

    def compute(self, modality: str, clips: torch.Tensor) -> torch.Tensor:
        self.batches.append(clips)
        self.entered.set()
        assert self.gate.wait(30)
        if self.fails:
            raise RuntimeError("out of memory")
        rows_BE = self.space.batching().compute(modality, clips)
        if self.poisoned:
            poison_N = self.space.preprocess("text", "poison")
            rows_BE = rows_BE.clone()
            rows_BE[(clips == poison_N).all(dim=1)] = torch.nan
        return rows_BE


@pytest.fixture
def slow(starter: openbind.Space) -> Slow:
    """The starter, with the gate of its towers closed."""
    return Slow(starter)


@pytest.fixture
def make(slow: Slow, in_process: Any) -> Iterator[Callable[..., Batcher]]:
    """Make batchers of the slow space; the gates are opened and the batchers closed at the end."""
    made: list[Batcher] = []

    def create(batch_size: int | None = None, **limits: Any) -> Batcher:
        batcher = Batcher(
            slow,  # type: ignore[arg-type]
            Limits(**limits),
            batch_size=batch_size,
            decoders=in_process(slow),
        )
        made.append(batcher)
        return batcher

    yield create
    slow.decoding.set()
    slow.gate.set()
    for batcher in made:
        batcher.close()


def submit(batcher: Batcher, modality: str, items: Sequence[Any]) -> Future[EmbeddingResult]:
    """Queue items of one modality."""
    return batcher.embed([(modality, item) for item in items])


def wait_for(batcher: Batcher, items: int, future: Future[Any] | None = None) -> None:
    """Wait until so many items are decoded, of one request if its future is given."""
    for _ in range(3000):
        waiting = batcher.queue.waiting
        if sum(future in (None, item.request.future) for item in waiting) >= items:
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"{len(batcher.queue.waiting)} items are decoded")


def test_vectors_are_those_of_encode(starter: openbind.Space, index: openbind.Index) -> None:
    """Items of all modalities, sent at once, each get their own vector."""
    texts = ["a dog", "rain on a roof at night in the old town", "a", "the rooster crows"]
    batcher = Batcher(starter, Limits())
    sent = [(hit.modality, [hit.path.read_bytes()]) for hit in index.sample(99, 0)[0]]
    sent += [("text", texts), ("text", texts[1:2])]
    futures = [submit(batcher, modality, items) for modality, items in sent]
    for (modality, items), future in zip(sent, futures, strict=True):
        found = future.result(60)
        np.testing.assert_allclose(found.vectors_NE, starter.encode(modality, items), atol=1e-6)
        assert (found.tokens > 0) == (modality == "text")
    assert batcher.backlog_seconds == 0
    batcher.close()


def test_what_arrives_together_goes_together(slow: Slow, make: Callable[..., Batcher]) -> None:
    """While one request is embedded, thirty others wait; they are one batch."""
    batcher = make()
    futures = [submit(batcher, "text", ["first"])]
    assert slow.entered.wait(30)
    futures += [submit(batcher, "text", [f"number {n}"]) for n in range(30)]
    wait_for(batcher, 30)
    slow.gate.set()
    wait(futures, 30)
    assert [len(batch) for batch in slow.batches] == [1, 30]


def test_batches_are_bounded_by_tokens(slow: Slow, make: Callable[..., Batcher]) -> None:
    """Short texts aren't padded to a long one beside them; no batch exceeds its tokens."""
    batcher = make()
    slow.gate.set()
    texts = ["dog " * (200 if n % 4 == 0 else 2) for n in range(80)]
    submit(batcher, "text", texts).result(60)
    assert sum(map(len, slow.batches)) == 80
    for ids_BN in slow.batches:
        lengths_B = (ids_BN != 0).sum(dim=1)
        assert len(ids_BN) * int(lengths_B.max()) <= batcher.queue.batch_tokens
        assert len(set(lengths_B.tolist())) == 1


def test_batch_size(slow: Slow, in_process: Any, png: bytes) -> None:
    """Of images as many as asked for; of text as many tokens as take as long."""
    slow.gate.set()
    batcher = Batcher(
        slow,  # type: ignore[arg-type]
        Limits(),
        batch_size=2,
        workers=1,
        decoders=in_process(slow),
    )
    futures = [submit(batcher, "image", [png] * 5), submit(batcher, "text", ["a b c d"] * 300)]
    wait(futures, 60)
    assert max(len(batch) for batch in slow.batches if batch.is_floating_point()) == 2
    assert max(len(batch) for batch in slow.batches if not batch.is_floating_point()) <= 128
    batcher.close()


def test_a_query_does_not_wait_for_a_thousand_texts(
    slow: Slow, make: Callable[..., Batcher]
) -> None:
    """Requests share the tower: the small one is done long before the large one."""
    batcher = make(batch_size=4, wait_seconds=1e9)
    large = submit(batcher, "text", ["a longer text with several words " * 8] * 80)
    wait_for(batcher, 40)  # the first batch has some of them already
    small = submit(batcher, "text", ["a query of about as many words, more or less, " * 6])
    wait_for(batcher, 1, small)
    slow.gate.set()
    small.result(30)
    assert not large.done()
    assert len(large.result(60).vectors_NE) == 80


def test_overload(slow: Slow, make: Callable[..., Batcher]) -> None:
    """More work than may wait is rejected with a time; a query doesn't wait for bulk work."""
    batcher = make(wait_seconds=1.0)
    first = submit(batcher, "text", ["x"] * 300)  # on its own, any request is admitted
    with pytest.raises(OverloadedError) as raised:
        submit(batcher, "text", ["y"] * 300)
    assert 1 <= raised.value.retry_seconds <= 60
    single = submit(batcher, "text", ["y"])
    slow.gate.set()
    assert len(first.result(60).vectors_NE) == 300
    assert single.result(30).vectors_NE.shape == (1, 512)


def test_one_bad_item(starter: openbind.Space, png: bytes) -> None:
    """It is named by its index; other requests of the same batch don't notice."""
    batcher = Batcher(starter, Limits(characters=100))
    bad = submit(batcher, "image", [png, png, b"no image", png])
    long = submit(batcher, "text", ["a", "b" * 101])
    good = submit(batcher, "image", [png])
    for future, index in ((bad, 2), (long, 1)):
        with pytest.raises(ItemError) as raised:
            future.result(30)
        assert raised.value.index == index
    np.testing.assert_allclose(
        good.result(30).vectors_NE[0], starter.encode("image", png), atol=1e-6
    )
    with pytest.raises(InputError):
        submit(batcher, "image", [])
    batcher.close()


def test_a_poisoned_vector(slow: Slow, make: Callable[..., Batcher]) -> None:
    """An item whose vector isn't finite fails its request alone, and is named."""
    slow.gate.set()
    slow.poisoned = True
    batcher = make()
    bad = submit(batcher, "text", ["fine", "poison"])
    good = submit(batcher, "text", ["a dog"])
    with pytest.raises(ItemError) as refused:
        bad.result(30)
    assert refused.value.index == 1
    assert np.isfinite(good.result(30).vectors_NE).all()


def test_a_failing_tower(slow: Slow, make: Callable[..., Batcher]) -> None:
    """The requests of its batch get the error; the next ones are served."""
    batcher = make()
    slow.fails = True
    slow.gate.set()
    with pytest.raises(RuntimeError, match="out of memory"):
        submit(batcher, "text", ["x"]).result(30)
    slow.fails = False
    assert submit(batcher, "text", ["x"]).result(30).vectors_NE.shape == (1, 512)
    assert batcher.backlog_seconds == 0


def test_memory_of_decoded_items_is_bounded(
    slow: Slow, make: Callable[..., Batcher], png: bytes
) -> None:
    """Decoders wait for room instead of running ahead of the towers."""
    batcher = make(decoded_bytes=1_000_000)
    future = submit(batcher, "image", [png] * 12)
    assert slow.entered.wait(30)
    wait_for(batcher, 2)
    threading.Event().wait(0.3)
    assert len(batcher.queue.waiting) <= 4
    slow.gate.set()
    assert len(future.result(60).vectors_NE) == 12


@pytest.mark.parametrize("stage", ["queued", "decoding", "decoded", "in the tower"])
def test_cancelled(slow: Slow, make: Callable[..., Batcher], png: bytes, stage: str) -> None:
    """At every stage a cancelled request's work is dropped, and close returns."""
    batcher = make(wait_seconds=1.0, decoded_bytes=10)
    first = submit(batcher, "text", ["x"])
    assert slow.entered.wait(30)
    if stage in ("queued", "decoding"):
        slow.decoding.clear()
    count = {"queued": 4, "decoding": 1, "decoded": 2}.get(stage, 0)
    futures = [submit(batcher, "image", [png] * 4) for _ in range(count)] or [first]
    if stage == "decoded":
        wait_for(batcher, 1)
    for future in futures:
        assert future.cancel()
    assert batcher.queue.waiting == ()
    assert batcher.queue.decoded_bytes == 0
    slow.decoding.set()
    slow.gate.set()
    assert wait(futures, 30).not_done == set()
    if futures != [first]:
        assert first.result(30).vectors_NE.shape == (1, 512)
    assert batcher.backlog_seconds == 0
    assert submit(batcher, "text", ["z"] * 40).result(30).vectors_NE.shape == (40, 512)
    closing = threading.Thread(target=batcher.close, daemon=True)
    closing.start()
    closing.join(10)
    assert not closing.is_alive()


def test_close(slow: Slow, make: Callable[..., Batcher]) -> None:
    """What was admitted is finished, nothing more is admitted."""
    batcher = make()
    future = submit(batcher, "text", ["x"])
    assert slow.entered.wait(30)
    closing = threading.Thread(target=batcher.close)
    closing.start()
    while not batcher.queue.closed:
        pass
    with pytest.raises(OverloadedError):
        submit(batcher, "text", ["y"])
    assert not future.done()
    slow.gate.set()
    closing.join(30)
    assert future.done()
    assert not closing.is_alive()


class Timed:
    """Decoders that take as many seconds as an item says, and decode a fixed image then."""

    def __init__(self, space: openbind.Space, png: bytes) -> None:
        self.clips = next(iter(space.decoder.samples("image", png))).clips
        self.begun = 0

    def start(self, modality: str, item: bytes) -> TimedDecoding:
        self.begun += 1
        return TimedDecoding(self, float(item))

    def close(self) -> None:
        """Nothing to end."""


class TimedDecoding:
    """An item of `Timed`."""

    def __init__(self, decoders: Timed, needed: float) -> None:
        self.decoders, self.needed = decoders, needed
        self.started = time.perf_counter()
        self.deferred = self.ended = False

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started

    def result(self, seconds: float, wanted: Callable[[], bool]) -> torch.Tensor | None:
        while self.seconds < self.needed:
            if not wanted():
                raise Abandoned
            if self.seconds > seconds:
                return None
            time.sleep(0.01)
        return self.decoders.clips

    def defer(self) -> None:
        self.deferred = True

    def end(self) -> None:
        self.ended = True


@pytest.fixture
def timed(starter: openbind.Space, png: bytes) -> Iterator[tuple[Batcher, Timed]]:
    """A batcher of files that take as long as they say, two workers for either kind."""
    decoders: Any = Timed(starter, png)
    limits = Limits(quick_seconds=0.1, item=SERVICE.changed(work_seconds=0.5))
    batcher = Batcher(starter, limits, decoders=decoders)
    yield batcher, decoders
    batcher.close(0)


def test_quick_files_pass_slow_ones(timed: tuple[Batcher, Timed]) -> None:
    """However many slow ones a client sends: they wait for one another."""
    batcher, _ = timed
    slow = [batcher.embed([("image", b"1.4")], "slow") for _ in range(40)]
    time.sleep(0.3)
    quick = [batcher.embed([("image", b"0.01")], "quick") for _ in range(4)]
    assert not wait(quick, 30).not_done
    assert sum(future.done() for future in slow) < 20
    assert slow[0].result(60).vectors_NE.shape == (1, 512)


def test_files_without_end(timed: tuple[Batcher, Timed]) -> None:
    """They are refused at their deadline, by their position, and the next is decoded."""
    batcher, _ = timed
    endless = batcher.embed([("image", b"0"), ("image", b"999")])
    with pytest.raises(ItemError, match=r"0\.5 s") as raised:
        endless.result(30)
    assert raised.value.index == 1
    assert batcher.embed([("image", b"0.3")]).result(30).vectors_NE.shape == (1, 512)


def test_slow_files_of_clients_that_leave(timed: tuple[Batcher, Timed]) -> None:
    """They free their place at once, also while they wait for it."""
    batcher, decoders = timed
    left = [batcher.embed([("image", b"999")]) for _ in range(6)]
    time.sleep(0.3)
    for future in left:
        assert future.cancel()
    assert batcher.backlog_seconds == 0
    assert batcher.embed([("image", b"0.3")]).result(10).vectors_NE.shape == (1, 512)
    assert decoders.begun <= len(left) + 1
