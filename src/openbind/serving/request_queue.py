"""Open requests and their decoded items: admission, fair order, batches, and cancellation.

No threads and no towers here; `openbind.serving.batching` drives it. A request is open until its
future is done. Whatever ends it (a result, an error, its client's `cancel`), at whatever stage, it
leaves every list at that moment.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
import torch

from openbind.errors import OpenbindError
from openbind.serving.limits import Limits

BATCH_CLIPS = 16
"""Clips of one batch on a CPU."""
CLIP_TOKENS = 256
"""Text tokens that take as long as a clip of any other modality."""
SHORT_TOKENS = 16
"""Texts up to this length cost about the same."""
FIRST_SECONDS_PER_ITEM = 0.02
"""Assumed cost of an item until the first batch is measured."""
SMOOTHING = 0.8
"""Weight of the previous estimate when a batch has been measured."""


class OverloadedError(OpenbindError, RuntimeError):
    """More work is queued than the limits allow, or the service is shutting down.

    Attributes:
        retry_seconds: when to try again.
    """

    def __init__(self, retry_seconds: float) -> None:
        self.retry_seconds = max(1, math.ceil(retry_seconds))
        super().__init__(f"server overloaded; retry in {self.retry_seconds} s")


@dataclass(frozen=True)
class EmbeddingResult:
    """The vectors of one request.

    Args:
        vectors_NE: (items, dim) float32, unit rows.
        tokens: tokens of its texts; 0 for other modalities.
    """

    vectors_NE: np.ndarray
    tokens: int


@dataclass(eq=False)
class Request:
    """Items of one modality that one caller waits for.

    Args:
        modality: of all items.
        left: items that have no vector yet.
    """

    modality: str
    left: int
    future: Future[EmbeddingResult] = field(default_factory=Future)
    rows: dict[int, np.ndarray] = field(default_factory=dict)
    tokens: int = 0
    order: int | None = None
    arrived: float = field(default_factory=time.perf_counter)


@dataclass(frozen=True, eq=False)
class DecodedItem:
    """One item of a request, ready for its tower.

    Args:
        request: the request it belongs to.
        index: its position in the request.
        clips: (clips, ...) as the tower takes them.
        tokens: of a text; 0 for other modalities.
        order: items with the lowest are embedded first.
    """

    request: Request
    index: int
    clips: torch.Tensor
    tokens: int
    order: int

    @property
    def length(self) -> int:
        """Tokens that each of its rows counts for."""
        return self.tokens or CLIP_TOKENS

    def batches_with(self, other: DecodedItem) -> bool:
        """Return whether both fit in one batch without the shorter being mostly padding."""
        a, b = max(self.length, SHORT_TOKENS), max(other.length, SHORT_TOKENS)
        same_modality = self.request.modality == other.request.modality
        same_shape = self.clips.shape[1:] == other.clips.shape[1:]
        return same_modality and same_shape and max(a, b) <= 2 * min(a, b)


class RequestQueue:
    """Open requests and the decoded items that wait for a tower. Thread-safe.

    Args:
        limits: of the queued work and of the memory of decoded items.
        batch_clips: clips of one batch; of text `CLIP_TOKENS` times as many tokens, with padding.

    Attributes:
        batch_tokens: tokens of one batch, padding included.
        decoded_bytes: memory of the items that wait for a tower.
    """

    def __init__(self, limits: Limits, batch_clips: int = BATCH_CLIPS) -> None:
        self.limits = limits
        self.batch_tokens = batch_clips * CLIP_TOKENS
        self.decoded_bytes = 0
        self._changed = threading.Condition()
        self._open: set[Request] = set()
        self._waiting: list[DecodedItem] = []
        self._seconds_per_item: dict[str, float] = {}
        self._order = 0
        self._finished_at = 0.0
        self._closing = False

    def __len__(self) -> int:
        """Return the number of open requests."""
        with self._changed:
            return len(self._open)

    @property
    def waiting(self) -> tuple[DecodedItem, ...]:
        """The decoded items that wait for a tower."""
        with self._changed:
            return tuple(self._waiting)

    @property
    def closed(self) -> bool:
        """Whether it admits nothing more."""
        return self._closing

    @property
    def backlog_seconds(self) -> float:
        """Estimated time until all open requests are answered."""
        with self._changed:
            return sum(request.left * self._cost(request.modality) for request in self._open)

    def add(self, modality: str, count: int) -> Request:
        """Admit a request.

        Args:
            modality: of its items.
            count: number of items, at least one.

        Raises:
            OverloadedError: more work is queued than the limits allow, or the queue is closed.
        """
        with self._changed:
            backlog = self.backlog_seconds
            # A request on its own is never too large: its items are limited elsewhere.
            too_much = backlog and backlog + count * self._cost(modality) > self.limits.wait_seconds
            if too_much or self._closing:
                raise OverloadedError(backlog / 2)
            request = Request(modality, count)
            self._open.add(request)
        request.future.add_done_callback(lambda _: self._release(request))
        return request

    def is_open(self, request: Request) -> bool:
        """Return whether somebody still waits for the request."""
        with self._changed:
            return request in self._open

    def put(
        self, request: Request, first: int, items: Sequence[torch.Tensor], tokens: Sequence[int]
    ) -> None:
        """Queue decoded items of a request for their tower, once there is room for them.

        Items of a request that is no longer open are dropped.

        Args:
            request: from `add`.
            first: position of the first item in the request; the others follow it.
            items: each (clips, ...).
            tokens: number of tokens of each; 0 for modalities other than text.
        """
        with self._changed:
            self._changed.wait_for(lambda: request not in self._open or self._has_room())
            if request not in self._open:
                return
            for index, (clips, count) in enumerate(zip(items, tokens, strict=True), first):
                # Items of one request follow one another, interleaved with those of others: a
                # single query doesn't wait for a thousand texts.
                request.order = self._order if request.order is None else request.order + 1
                request.tokens += count
                self._waiting.append(DecodedItem(request, index, clips, count, request.order))
                self.decoded_bytes += clips.nbytes

    def take(self) -> list[DecodedItem]:
        """Remove and return the next batch: the first item in order and those that fit beside it.

        Items of similar length come first, since shorter ones are padded to the longest.

        Returns:
            items of one modality and shape; empty if nothing waits.
        """
        with self._changed:
            if not self._waiting:
                return []
            first = min(self._waiting, key=lambda item: item.order)
            others = [i for i in self._waiting if i is not first and i.batches_with(first)]
            others.sort(key=lambda item: (abs(item.length - first.length), item.order))
            batch, rows, longest = [first], len(first.clips), first.length
            for item in others:
                rows, longest = rows + len(item.clips), max(longest, item.length)
                if rows * longest > self.batch_tokens:
                    break
                batch.append(item)
            self._drop(batch)
            self._order = max(self._order, first.order)
            self._changed.notify_all()
        return batch

    def finish(self, batch: Sequence[DecodedItem], rows_BE: Sequence[np.ndarray]) -> None:
        """Store the vectors of a batch and answer the requests that are complete.

        Args:
            batch: from `take`.
            rows_BE: the vector of each item, (dim,) float32.
        """
        with self._changed:
            for item, row_E in zip(batch, rows_BE, strict=True):
                request = item.request
                request.rows[item.index] = row_E
                request.left -= 1
                if request.left:
                    continue
                vectors_NE = np.stack([request.rows[at] for at in sorted(request.rows)])
                if self._release(request):
                    request.future.set_result(EmbeddingResult(vectors_NE, request.tokens))
            self._measure(batch)

    def fail(self, request: Request, error: Exception) -> None:
        """Answer a request with an error, unless it has been answered or cancelled."""
        with self._changed:
            if self._release(request):
                request.future.set_exception(error)

    def close(self) -> None:
        """Admit nothing more, and wait until every open request is answered or cancelled."""
        with self._changed:
            self._closing = True
            self._changed.wait_for(lambda: not self._open)

    def _release(self, request: Request) -> bool:
        """Remove a request from every list.

        Returns:
            whether it has to be answered now; it can't be cancelled any more then. False for a
            request that was answered or cancelled.
        """
        with self._changed:
            if request not in self._open:
                return False
            self._open.discard(request)
            if request.left:
                self._drop([item for item in self._waiting if item.request is request])
            self._changed.notify_all()
            return request.future.set_running_or_notify_cancel()

    def _drop(self, items: Sequence[DecodedItem]) -> None:
        dropped = set(items)
        self._waiting = [item for item in self._waiting if item not in dropped]
        self.decoded_bytes -= sum(item.clips.nbytes for item in dropped)

    def _has_room(self) -> bool:
        return not self._waiting or self.decoded_bytes < self.limits.decoded_bytes

    def _cost(self, modality: str) -> float:
        return self._seconds_per_item.get(modality, FIRST_SECONDS_PER_ITEM)

    def _measure(self, batch: Sequence[DecodedItem]) -> None:
        """Update the seconds per item, decoding included, of the time in which there was work."""
        now, modality = time.perf_counter(), batch[0].request.modality
        since = max(self._finished_at, min(item.request.arrived for item in batch))
        self._finished_at = now
        old, new = self._seconds_per_item.get(modality), (now - since) / len(batch)
        self._seconds_per_item[modality] = (
            new if old is None else SMOOTHING * old + (1 - SMOOTHING) * new
        )
