"""Open requests and their items: admission, fair order, batches, and cancellation.

No threads and no towers here; `openbind.serving.batching` drives it. A request is open until its
future is done. Whatever ends it (a result, an error, its client's `cancel`), at whatever stage, it
leaves every list at that moment.

The order is start-time fair queueing: an item's place is a time on a clock that shows how far
every client would have come by now if the machine were divided equally. A request starts at the
clock's time, its items follow at the pace of its share, and what a client's items really took
moves its next request back. So one query doesn't wait for a thousand texts, neither of another
client nor of its own.
"""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from openbind.modalities import TEXT
from openbind.serving.limits import Limits
from openbind.serving.long_texts import Truncate
from openbind.serving.work import (
    CLIP_TOKENS,
    DecodedItem,
    EmbeddingResult,
    OverloadedError,
    Request,
    Task,
    cut_item,
    cut_tasks,
    units_of,
)

BATCH_CLIPS = 16
"""Clips of one batch on a CPU."""
BATCH_SECONDS = 0.5
"""Time of a batch on a slow machine: what arrives meanwhile waits for it."""
MIN_BATCH_CLIPS = 4
"""Clips of one batch on however slow a machine."""
FIRST_SECONDS_PER_UNIT = 0.02
"""Assumed cost of an item until the first batch is measured."""
SMOOTHING = 0.8
"""Weight of the previous estimate when a batch has been measured."""


class RequestQueue:
    """Open requests, their items to decode, and the decoded ones. Thread-safe.

    Args:
        limits: of the queued work and of the memory of decoded items.
        batch_clips: clips of one batch; of text `CLIP_TOKENS` times as many tokens, with padding.

    Attributes:
        batch_tokens: tokens of one batch, padding included.
    """

    def __init__(self, limits: Limits, batch_clips: int = BATCH_CLIPS) -> None:
        self.limits = limits
        self.batch_tokens = batch_clips * CLIP_TOKENS
        self._changed = threading.Condition()
        self._open: set[Request] = set()
        self._pending: dict[bool, dict[Request, deque[Task]]] = {True: {}, False: {}}
        self._waiting: list[DecodedItem] = []
        self._seconds_per_unit: dict[str, float] = {}
        self._seconds_per_token: dict[str, float] = {}
        self._clock = 0.0
        self._starts: dict[str, float] = {}
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
    def decoded_bytes(self) -> int:
        """Memory of the items that wait for a tower."""
        with self._changed:
            return sum(item.clips.nbytes for item in self._waiting)

    @property
    def closed(self) -> bool:
        """Whether it admits nothing more."""
        return self._closing

    @property
    def backlog_seconds(self) -> float:
        """Estimated time until all open requests are answered."""
        with self._changed:
            return sum(map(self._seconds_left, self._open))

    def add(
        self, items: Sequence[tuple[str, Any]], client: str = "", truncate: Truncate = "average"
    ) -> tuple[Request, int]:
        """Admit a request.

        Args:
            items: (modality, item) pairs, at least one.
            client: who sent it.
            truncate: what becomes of its long texts.

        Returns:
            the request, and the number of its tasks.

        Raises:
            OverloadedError: its turn would come too late, or the queue is closed. Its own work
                doesn't count: its items are limited elsewhere.
        """
        units = [units_of(item) for _, item in items]
        with self._changed:
            costs = [unit * self._cost(name) for unit, (name, _) in zip(units, items, strict=True)]
            wait = self._turn_seconds(client, sum(costs))
            if wait > self.limits.wait_seconds or self._closing:
                raise OverloadedError(wait / 2)
            left: dict[str, float] = defaultdict(float)
            for (modality, _), unit in zip(items, units, strict=True):
                left[modality] += unit
            share = 1 + sum(other.client == client for other in self._open)
            start = max(self._clock, self._starts.get(client, 0.0))
            request = Request(client, start, share, left, len(items), truncate)
            self._starts[client] = start + share * costs[0]
            tasks = cut_tasks(request, items, costs)
            self._open.add(request)
            for text, pending in self._pending.items():
                chosen = deque(task for task in tasks if task.is_text == text)
                if chosen:
                    pending[request] = chosen
        request.future.add_done_callback(lambda _: self._release(request))
        return request, len(tasks)

    def is_open(self, request: Request) -> bool:
        """Return whether somebody still waits for the request."""
        with self._changed:
            return request in self._open

    def next_task(self, *, text: bool) -> Task | None:
        """Remove and return the items to decode next, once there is room for them.

        Args:
            text: choose among texts; False: among all other modalities.

        Returns:
            None if there is nothing to decode.
        """
        pending = self._pending[text]
        with self._changed:
            self._changed.wait_for(lambda: not pending or self._has_room(text))
            if not pending:
                return None
            request = min(pending, key=lambda request: pending[request][0].orders[0])
            task = pending[request].popleft()
            if not pending[request]:
                del pending[request]
            return task

    def put(self, task: Task, clips: Sequence[torch.Tensor], tokens: Sequence[int]) -> bool:
        """Queue the decoded items of a task for their tower.

        Items of a request that is no longer open are dropped.

        Args:
            task: from `next_task`.
            clips: of each item, (clips, ...).
            tokens: number of tokens of each; 0 for modalities other than text.

        Returns:
            whether they were queued.
        """
        with self._changed:
            request = task.request
            if request not in self._open:
                return False
            most = max(1, self.batch_tokens // CLIP_TOKENS)
            for at, item_clips in enumerate(clips):
                request.tokens += tokens[at]
                each = math.ceil(tokens[at] / len(item_clips))
                self._waiting += cut_item(task, at, item_clips.split(most), each)
            return True

    def charge(self, client: str, seconds: float) -> None:
        """Move a client's next request back by the time that an item of it took to decode."""
        with self._changed:
            self._starts[client] = max(self._clock, self._starts.get(client, 0.0)) + seconds

    def take(self) -> list[DecodedItem]:
        """Remove and return the next batch: the first item in order and those that fit beside it.

        Those whose turn has come are first, then those of similar length, since shorter ones are
        padded to the longest.

        Returns:
            items of one modality and shape; empty if nothing waits.
        """
        with self._changed:
            if not self._waiting:
                return []
            first = min(self._waiting, key=lambda item: item.order)
            clock = self._clock = max(self._clock, first.order)
            others = [i for i in self._waiting if i is not first and i.batches_with(first)]
            others.sort(key=lambda i: (i.order > clock, abs(i.length - first.length), i.order))
            batch, rows, longest = [first], len(first.clips), first.length
            for item in others:
                rows, longest = rows + len(item.clips), max(longest, item.length)
                if rows * longest > self._tokens_of_batch(first.modality):
                    break
                batch.append(item)
            self._drop(batch)
            self._changed.notify_all()
        return batch

    def time_batch(self, batch: Sequence[DecodedItem], seconds: float) -> None:
        """Note how long the tower took for a batch: the next ones take about `BATCH_SECONDS`."""
        with self._changed:
            tokens = sum(len(i.clips) for i in batch) * max(i.length for i in batch)
            modality = batch[0].modality
            old, new = self._seconds_per_token.get(modality), seconds / tokens
            self._seconds_per_token[modality] = _smoothed(old, new)

    def finish(self, batch: Sequence[DecodedItem], found: Sequence[np.ndarray]) -> None:
        """Store the vectors of a batch and answer the requests that are complete.

        Args:
            batch: from `take`.
            found: the vectors of each item's clips, (clips, dim) float32.
        """
        with self._changed:
            for item, rows_SE in zip(batch, found, strict=True):
                request = item.request
                request.left[item.modality] -= item.units
                if not request.store(item, rows_SE):
                    continue
                vectors_NE = np.stack([request.vectors[at] for at in range(request.count)])
                if self._release(request):
                    request.future.set_result(EmbeddingResult(vectors_NE, request.tokens))
            self._measure(batch)

    def fail(self, request: Request, error: Exception) -> None:
        """Answer a request with an error, unless it has been answered or cancelled."""
        with self._changed:
            if self._release(request):
                request.future.set_exception(error)

    def refuse(self) -> None:
        """Admit nothing more."""
        self._closing = True

    def close(self, seconds: float | None = None) -> None:
        """Admit nothing more, and wait until every open request is answered or cancelled.

        Args:
            seconds: after so long the rest is answered with `OverloadedError`; None waits on.
        """
        with self._changed:
            self.refuse()
            self._changed.wait_for(lambda: not self._open, seconds)
            for request in list(self._open):
                self.fail(request, OverloadedError(1))

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
            for pending in self._pending.values():
                pending.pop(request, None)
            self._drop([item for item in self._waiting if item.request is request])
            self._starts = {k: start for k, start in self._starts.items() if start > self._clock}
            self._changed.notify_all()
            return request.future.set_running_or_notify_cancel()

    def _drop(self, items: Sequence[DecodedItem]) -> None:
        dropped = set(items)
        self._waiting = [item for item in self._waiting if item not in dropped]

    def _has_room(self, text: bool) -> bool:
        held = [i.clips.nbytes for i in self._waiting if (i.modality == TEXT) == text]
        return sum(held) < self.limits.decoded_bytes

    def _tokens_of_batch(self, modality: str) -> int:
        seconds = self._seconds_per_token.get(modality, 0.0)
        in_time = int(BATCH_SECONDS / seconds) if seconds else self.batch_tokens
        return min(self.batch_tokens, max(MIN_BATCH_CLIPS * CLIP_TOKENS, in_time))

    def _cost(self, modality: str) -> float:
        return self._seconds_per_unit.get(modality, FIRST_SECONDS_PER_UNIT)

    def _seconds_left(self, request: Request) -> float:
        return sum(units * self._cost(modality) for modality, units in request.left.items())

    def _turn_seconds(self, client: str, own: float) -> float:
        """Estimate how long others would delay a request of `own` seconds.

        Of each other request no more is done before its end than of itself; of each other client
        no more than of its own.
        """
        by_client: dict[str, float] = defaultdict(float)
        for request in self._open:
            left = self._seconds_left(request)
            by_client[request.client] += min(left, own) if request.client == client else left
        mine = by_client.pop(client, 0.0)
        return mine + sum(min(left, mine + own) for left in by_client.values())

    def _measure(self, batch: Sequence[DecodedItem]) -> None:
        """Update the seconds per unit, decoding included, of the time in which there was work."""
        now, modality = time.perf_counter(), batch[0].modality
        since = max(self._finished_at, min(item.request.arrived for item in batch))
        self._finished_at = now
        new = (now - since) / sum(item.units for item in batch)
        self._seconds_per_unit[modality] = _smoothed(self._seconds_per_unit.get(modality), new)


def _smoothed(old: float | None, new: float) -> float:
    return new if old is None else SMOOTHING * old + (1 - SMOOTHING) * new
