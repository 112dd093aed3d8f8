"""Whatever is submitted, cancelled or closed in whatever order, no request leaves a trace.

The state machine drives a batcher step by step: its executors only record calls, and the stub space
cancels in the middle of decoding or of a tower's run.
"""

from __future__ import annotations

import io
import pickle
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from openbind.errors import InputError
from openbind.modalities.spec import Sample
from openbind.serving.batching import Batcher, ItemError, Lanes
from openbind.serving.limits import Limits
from openbind.serving.request_queue import RequestQueue
from openbind.serving.work import CLIP_TOKENS, EmbeddingResult, OverloadedError
from openbind.space.pipeline import Batching

TEXT, MAP = "text", "depth"
BROKEN = -1.0


class Steps(Executor):
    """Runs what is submitted one call at a time, when the test says so."""

    def __init__(self) -> None:
        self.calls: deque[Callable[[], Any]] = deque()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.calls.append(lambda: fn(*args, **kwargs))
        return Future()

    def step(self) -> None:
        if self.calls:
            self.calls.popleft()()


class StubSpace:
    """Embeds a number as the point on the unit circle at that angle."""

    def __init__(self) -> None:
        text = SimpleNamespace(settings=SimpleNamespace(pad=0))
        self.config = SimpleNamespace(modalities={TEXT: text, MAP: SimpleNamespace()})
        self.interrupt: Callable[[], Any] = lambda: None
        self.fails = False
        self.failed: set[float] = set()

    @property
    def decoder(self) -> StubSpace:
        return self

    def samples(self, modality: str, item: Any) -> Iterator[Sample]:
        self.interrupt()
        if modality == TEXT:
            yield Sample(torch.tensor([[int(item), 0]]))
            return
        value = np.load(io.BytesIO(item)).item()
        if value == BROKEN:
            raise InputError(item, "broken")
        yield Sample(torch.full((1, 1, 1, 1), value))

    def start(self, modality: str, item: bytes) -> SimpleNamespace:
        """Stand in for processes: the item is decoded when its result is asked for."""
        return SimpleNamespace(
            seconds=0.0,
            result=lambda seconds, wanted: next(self.samples(modality, item)).clips,
        )

    def close(self) -> None:
        """Nothing to end."""

    def batching(self) -> Batching:
        return Batching(self.compute)

    def compute(self, modality: str, clips: torch.Tensor) -> torch.Tensor:
        self.interrupt()
        numbers = clips.reshape(len(clips), -1)[:, 0].float()
        if self.fails:
            self.failed |= set(numbers.tolist())
            raise RuntimeError("out of memory")
        return torch.stack([numbers.cos(), numbers.sin()], dim=-1)


def encoded(modality: str, number: float) -> str | bytes:
    """Write a number as an item of a modality."""
    if modality == TEXT:
        return str(int(number))
    out = io.BytesIO()
    np.save(out, np.float32(number))
    return out.getvalue()


class Lifecycle(RuleBasedStateMachine):
    """Submit, decode, run, cancel at any moment, fail, close."""

    requests = Bundle("requests")

    @initialize()
    def start(self) -> None:
        self.space = StubSpace()
        self.decoders, self.runner = Steps(), Steps()
        self.batcher = Batcher(
            self.space,  # type: ignore[arg-type]
            Limits(wait_seconds=1e9),
            lanes=Lanes(self.decoders, self.decoders, self.decoders, self.runner),
            decoders=self.space,  # type: ignore[arg-type]
        )
        self.queue = self.batcher.queue
        self.count = 0.0
        self.sent: list[tuple[Future[EmbeddingResult], list[float]]] = []
        self.closing: threading.Thread | None = None

    @rule(
        target=requests,
        modality=st.sampled_from([TEXT, MAP]),
        count=st.integers(1, 20),
        broken=st.none() | st.integers(0, 19),
    )
    def submit(self, modality: str, count: int, broken: int | None) -> Future[Any]:
        """A closed batcher refuses; an open one takes whatever fits the limits."""
        numbers = [self.count + at + 1 for at in range(count)]
        self.count += count
        if modality == MAP and broken is not None and broken < count:
            numbers[broken] = BROKEN
        items = [(modality, encoded(modality, number)) for number in numbers]
        if self.closing is not None:
            with pytest.raises(OverloadedError):
                self.batcher.embed(items)
            return Future()
        future = self.batcher.embed(items)
        self.sent.append((future, numbers))
        return future

    @rule(request=requests)
    def cancel(self, request: Future[Any]) -> None:
        """While it waits to be decoded, or for a tower, or after its end."""
        request.cancel()

    @rule(request=requests)
    def cancel_while_decoding(self, request: Future[Any]) -> None:
        """Any request, the one that is decoded among them."""
        self.space.interrupt = request.cancel
        self.decoders.step()
        self.space.interrupt = lambda: None

    @rule(request=requests)
    def cancel_in_the_tower(self, request: Future[Any]) -> None:
        """A batch runs on for the other requests in it."""
        self.space.interrupt = request.cancel
        self.batcher.run_batch()
        self.space.interrupt = lambda: None

    @rule()
    def decode(self) -> None:
        """One request."""
        self.decoders.step()

    @rule()
    def run(self) -> None:
        """One batch."""
        self.batcher.run_batch()

    @rule()
    def fail(self) -> None:
        """One batch, whose tower fails."""
        self.space.fails = True
        self.batcher.run_batch()
        self.space.fails = False

    @precondition(lambda self: self.closing is None)
    @rule()
    def close(self) -> None:
        """Close returns once nothing is open, so it is called from a thread."""
        self.closing = threading.Thread(target=self.batcher.close, daemon=True)
        self.closing.start()
        while not self.queue.closed:
            pass

    @invariant()
    def only_open_requests_are_listed(self) -> None:
        """What has ended is in no list; the sums are those of what is left."""
        waiting = self.queue.waiting
        ended = [future for future, _ in self.sent if future.done()]
        assert len(self.queue) == len(self.sent) - len(ended)
        assert not {id(item.request.future) for item in waiting} & set(map(id, ended))
        assert self.queue.decoded_bytes == sum(item.clips.nbytes for item in waiting)
        assert (self.batcher.backlog_seconds > 0) == (len(self.queue) > 0)

    def teardown(self) -> None:
        """Everything that wasn't cancelled is answered, with its own vectors, and close returns."""
        while self.decoders.calls:
            self.decoders.step()
        while self.batcher.run_batch():
            pass
        closing = self.closing or threading.Thread(target=self.batcher.close, daemon=True)
        if self.closing is None:
            closing.start()
        closing.join(10)
        assert not closing.is_alive()
        assert (len(self.queue), self.queue.waiting, self.queue.decoded_bytes) == (0, (), 0)
        assert self.batcher.backlog_seconds == 0
        for future, numbers in self.sent:
            self.check(future, numbers)

    def check(self, future: Future[EmbeddingResult], numbers: list[float]) -> None:
        """Cancelled, failed for a reason of its own, or the right vectors."""
        assert future.done()
        if future.cancelled():
            return
        error = future.exception(0)
        if isinstance(error, ItemError):
            assert numbers[error.index] == BROKEN
        elif error is not None:
            assert isinstance(error, RuntimeError)
            assert self.space.failed & set(numbers)
        else:
            vectors_NE = future.result(0).vectors_NE
            expected_NE = np.stack([np.cos(numbers), np.sin(numbers)], axis=1)
            np.testing.assert_allclose(vectors_NE, expected_NE, atol=1e-4)


TestLifecycle = Lifecycle.TestCase
TestLifecycle.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def put(
    queue: RequestQueue, modality: str, counts: list[int], client: str = ""
) -> Future[EmbeddingResult]:
    """Queue a request with an item of so many tokens each."""
    item = "x" if modality == TEXT else b"x"
    request, tasks = queue.add([(modality, item)] * len(counts), client)
    for _ in range(tasks):
        task = queue.next_task(text=modality == TEXT)
        assert task is not None
        size = len(task.items)
        queue.put(task, [torch.zeros(1, 2)] * size, counts[task.first : task.first + size])
    return request.future


def test_batches_are_bounded() -> None:
    """By tokens, padding included; texts of similar length go together, modalities never."""
    queue = RequestQueue(Limits(wait_seconds=1e9))
    put(queue, TEXT, [20] * 300)
    put(queue, TEXT, [200] * 3)
    put(queue, MAP, [0] * 30)
    sizes = []
    while batch := queue.take():
        assert len({item.modality for item in batch}) == 1
        longest = max(item.length for item in batch)
        assert len(batch) * longest <= queue.batch_tokens
        assert longest <= 2 * min(item.length for item in batch)
        sizes.append((longest, len(batch)))
    assert sorted(sizes) == [(20, 96), (20, 204), (200, 3), (CLIP_TOKENS, 14), (CLIP_TOKENS, 16)]


def test_batches_are_bounded_in_time() -> None:
    """Where a tower is slow, batches are smaller, down to a quarter: who comes next waits less."""
    queue = RequestQueue(Limits(wait_seconds=1e9))
    put(queue, TEXT, [256] * 100)
    sizes = []
    for seconds in (0.5, 2.0, 100.0, 0.0):
        batch = queue.take()
        sizes.append(len(batch))
        queue._seconds_per_token.clear()
        queue.time_batch(batch, seconds)
    assert sizes == [16, 16, 4, 4]


def test_requests_are_interleaved() -> None:
    """A small request that comes later is in the next batch, of the same client or another."""
    for client in ("bulk", "other"):
        queue = RequestQueue(Limits(wait_seconds=1e9))
        put(queue, TEXT, [400] * 100, "bulk")
        queue.take()
        small = put(queue, TEXT, [400], client)
        assert any(item.request.future is small for item in queue.take())


def test_clients_share_equally() -> None:
    """However many requests one of them sends: the other's query doesn't wait for them."""
    queue = RequestQueue(Limits(wait_seconds=1e9))
    for _ in range(50):
        put(queue, TEXT, [400] * 4, "flood")
    queue.take()
    query = put(queue, TEXT, [400], "other")
    assert queue.take()[0].request.future is query
    bulk = [put(queue, TEXT, [400] * 20, client) for client in ("flood", "other")]
    turns = [item.request for _ in range(8) for item in queue.take()]
    counts = [sum(request.client == client for request in turns) for client in ("flood", "other")]
    assert counts[1] >= 20  # done, although the flood was there first
    assert bulk[0] not in turns


@pytest.mark.parametrize(("stream", "other"), [(MAP, TEXT), (TEXT, MAP)])
def test_modalities_take_turns(stream: str, other: str) -> None:
    """One order over all of them: whoever waits longest is first, with all of its modality.

    However much of one modality keeps coming, an item of another is in the next batch but one.
    """
    queue = RequestQueue(Limits(wait_seconds=1e9))

    def batch() -> tuple[str, int]:
        items = queue.take()
        return items[0].modality, len(items)

    for modality in (stream, other, stream, stream, other, stream):
        put(queue, modality, [20 if modality == TEXT else 0], "client")
    assert batch() == (stream, 4)
    for _ in range(10):
        for _ in range(3):
            put(queue, stream, [20 if stream == TEXT else 0], "client")
        assert batch() == (other, 2)
        put(queue, other, [20 if other == TEXT else 0], "client")
        assert batch() == (stream, 3)
        put(queue, other, [20 if other == TEXT else 0], "client")


def test_long_decoding_is_charged() -> None:
    """A client whose last file took long waits for others, not they for it."""
    queue = RequestQueue(Limits(wait_seconds=1e9))
    queue.charge("bombs", 5.0)
    queue.add([(MAP, b"x")], "bombs")
    queue.add([(MAP, b"x")] * 3, "other")
    clients = [task.request.client for _ in range(4) if (task := queue.next_task(text=False))]
    assert clients == ["other", "other", "other", "bombs"]


def test_texts_and_files_are_read_apart() -> None:
    """Some texts at once, so that a thread isn't busy for long; one file at a time."""
    queue = RequestQueue(Limits(wait_seconds=1e9))
    _, tasks = queue.add([(TEXT, "x" * 15_000)] * 5 + [(MAP, b"x")] * 2 + [(TEXT, "y")])
    assert tasks == 3 + 2 + 1
    sizes = []
    while task := queue.next_task(text=True):
        sizes.append((task.first, len(task.items)))
    assert sizes == [(0, 2), (2, 2), (4, 1), (7, 1)]
    assert queue.next_task(text=False) is not None


def test_memory_of_decoded_items_is_bounded() -> None:
    """A decoder waits for room; cancelling its request lets it go on at once."""
    queue = RequestQueue(Limits(decoded_bytes=8))
    put(queue, TEXT, [5])
    second, _ = queue.add([(TEXT, "x")])
    found: list[Any] = []
    blocked = threading.Thread(target=lambda: found.append(queue.next_task(text=True)), daemon=True)
    blocked.start()
    blocked.join(0.1)
    assert blocked.is_alive()
    assert second.future.cancel()
    blocked.join(10)
    assert found == [None]
    assert len(queue.waiting) == 1


def test_admission_follows_the_work_left() -> None:
    """Of others; what is cancelled no longer counts, and a query waits for little of a bulk."""
    queue = RequestQueue(Limits(wait_seconds=1.0))
    large, _ = queue.add([(TEXT, "x")] * 2000)  # on its own, a request is never too large
    with pytest.raises(OverloadedError) as raised:
        queue.add([(TEXT, "x")] * 2000)
    assert raised.value.retry_seconds >= 20
    copy = pickle.loads(pickle.dumps(raised.value))
    assert copy.retry_seconds == raised.value.retry_seconds
    queue.add([(TEXT, "x")])[0].future.cancel()
    large.future.cancel()
    assert queue.backlog_seconds == 0
    queue.add([(TEXT, "x")] * 2000)


def test_close_ends_what_is_left() -> None:
    """After its time, open requests get an error instead of waiting for ever."""
    queue = RequestQueue(Limits())
    request, _ = queue.add([(TEXT, "x")])
    queue.close(0.05)
    with pytest.raises(OverloadedError):
        request.future.result(0)
    assert queue.next_task(text=True) is None
    with pytest.raises(OverloadedError):
        queue.add([(TEXT, "x")])
