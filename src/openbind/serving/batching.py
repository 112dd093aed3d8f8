"""Dynamic batching: requests that arrive together go through a tower together.

Processes decode files, a thread tokenizes texts, one thread runs the towers on whatever is decoded
and fits one batch. What arrives while it runs is the next batch, so no request waits for a batch
to fill. Files that take long to decode wait for one another in a lane of their own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from openbind.errors import InputError
from openbind.modalities import TEXT
from openbind.serving.decoders import Abandoned, Decoders, Decoding
from openbind.serving.limits import Limits, check_item
from openbind.serving.long_texts import Truncate, split_text
from openbind.serving.request_queue import BATCH_CLIPS, RequestQueue
from openbind.serving.work import DecodedItem, EmbeddingResult, Task
from openbind.space.space import Space
from openbind.space.vectors import clip_vectors

DECODERS = 2
"""Decoding processes for quick files, and as many for slow ones."""
GPU_BATCH_CLIPS = 128
DEADLINE = 3
"""Times its CPU time that an item may take: processes share the machine."""


class ItemError(InputError):
    """One item of a request can't be used.

    Attributes:
        index: its position in the request.
    """

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(f"item {index}", reason)
        self.index = index


class BatchObserver(Protocol):
    """Receives a call for every batch."""

    def batch_done(self, modality: str, items: int, seconds: float) -> None:
        """Record a batch."""


@dataclass(frozen=True)
class Lanes:
    """What runs the parts of the work, each a few calls at a time.

    Args:
        tokens: tokenizes texts.
        quick: decodes files.
        slow: decodes those that take long.
        model: runs the towers, one call at a time.
    """

    tokens: Executor
    quick: Executor
    slow: Executor
    model: Executor

    @classmethod
    def threads(cls, workers: int) -> Lanes:
        """Return threads, `workers` of them for either kind of file."""
        counts = {"tokens": 1, "quick": workers, "slow": workers, "model": 1}
        return cls(**{k: ThreadPoolExecutor(n, f"openbind-serve-{k}") for k, n in counts.items()})

    def shutdown(self, *, wait: bool) -> None:
        """End all threads, after what they run now."""
        for lane in (self.tokens, self.quick, self.slow, self.model):
            lane.shutdown(wait=wait, cancel_futures=True)


class Batcher:
    """Embeds the items of many concurrent requests.

    Args:
        space: embeds them.
        limits: of items, of queued work, of memory.
        observer: called after every batch.
        batch_size: clips of one batch; None chooses by device.
        workers: decoding processes; None starts `DECODERS`.
        lanes: run the work; threads by default.
        decoders: decode files; processes by default.
    """

    def __init__(
        self,
        space: Space,
        limits: Limits,
        observer: BatchObserver | None = None,
        *,
        batch_size: int | None = None,
        workers: int | None = None,
        lanes: Lanes | None = None,
        decoders: Decoders | None = None,
    ) -> None:
        self.space = space
        self.limits = limits
        self.workers = workers or DECODERS
        self._compute = space.batching().compute
        clips = BATCH_CLIPS if space.batching().device == "cpu" else GPU_BATCH_CLIPS
        self.queue = RequestQueue(limits, batch_size or clips)
        self.decoders = decoders or Decoders(space.decoder, limits)
        self._observer = observer
        self._lanes = lanes or Lanes.threads(self.workers)
        self._slow_items = 0
        self._lock = threading.Lock()

    @property
    def backlog_seconds(self) -> float:
        """Estimated time until all open requests are answered."""
        return self.queue.backlog_seconds

    def warm(self) -> None:
        """Start the decoding processes before the first file comes."""
        self.decoders.warm(self.workers)

    def embed(
        self, items: Sequence[tuple[str, Any]], client: str = "", truncate: Truncate = "average"
    ) -> Future[EmbeddingResult]:
        """Queue the items of a request, to be embedded in batches with those of others.

        Args:
            items: (modality, item) pairs: texts, or contents of files; at least one.
            client: who sent the request; clients share the machine equally.
            truncate: what becomes of texts that are longer than the model's context.

        Returns:
            a future of the vectors, in order. It raises `ItemError` for an item that can't be
            used; `cancel` takes the request out at any stage.

        Raises:
            InputError: no items.
            OverloadedError: its turn would come too late, or the batcher is closed.
        """
        if not items:
            raise InputError("items", "expected at least one")
        request, tasks = self.queue.add(items, client, truncate)
        texts = sum(modality == TEXT for modality, _ in items)
        for _ in range(tasks - (len(items) - texts)):
            self._lanes.tokens.submit(self._read_texts)
        for _ in range(len(items) - texts):
            self._lanes.quick.submit(self._decode_quickly)
        return request.future

    def run_batch(self) -> bool:
        """Embed the next batch of decoded items.

        Returns:
            False if none was waiting.
        """
        batch = self.queue.take()
        if not batch:
            return False
        start = time.perf_counter()
        try:
            found = self._embed(batch)
            self.queue.time_batch(batch, time.perf_counter() - start)
            self.queue.finish(batch, found)
        except Exception as error:  # its requests get the error; the next batch is run
            for item in batch:
                self.queue.fail(item.request, error)
        if self._observer is not None:
            seconds = time.perf_counter() - start
            self._observer.batch_done(batch[0].modality, len(batch), seconds)
        return True

    def close(self, seconds: float | None = None) -> None:
        """Admit no more, answer the open requests, and end threads and processes.

        Args:
            seconds: what isn't answered by then gets `OverloadedError`; None waits on.
        """
        self.queue.close(seconds)
        self._lanes.shutdown(wait=seconds is None)
        self.decoders.close()

    def _run(self) -> None:
        while self.run_batch():
            pass

    def _put(self, task: Task, clips: Sequence[torch.Tensor], tokens: Sequence[int]) -> None:
        if self.queue.put(task, clips, tokens):
            self._lanes.model.submit(self._run)

    def _read_texts(self) -> None:
        """Tokenize the next texts."""
        task = self.queue.next_task(text=True)
        if task is None:
            return
        try:
            clips = [self._tokenize(task, at) for at in range(len(task.items))]
            self._put(task, clips, [self._count_tokens(task.modality, ids) for ids in clips])
        except Exception as error:  # whatever it is, the caller gets it
            self.queue.fail(task.request, error)

    def _tokenize(self, task: Task, at: int) -> torch.Tensor:
        """Return the token ids of a text, (1, context), or of the parts of a long one."""
        text, truncate = task.items[at], task.request.truncate
        try:
            check_item(text, self.limits)
            ids = self._read_text(task.modality, text)
            if not self._is_full(task.modality, ids):
                return ids
            if truncate == "refuse":
                reason = f"longer than the {ids.shape[-1]:,} tokens that the model reads at once"
                raise InputError(text, reason)
            if truncate == "end":
                return ids
            parts = split_text(text, lambda part: self._fits(task.modality, part))
            return torch.cat([self._read_text(task.modality, part) for part in parts])
        except InputError as error:
            raise ItemError(task.first + at, error.reason) from error

    def _read_text(self, modality: str, text: str) -> torch.Tensor:
        (sample,) = self.space.decoder.samples(modality, text)
        ids: torch.Tensor = sample.clips
        return ids

    def _fits(self, modality: str, text: str) -> bool:
        return not self._is_full(modality, self._read_text(modality, text))

    def _is_full(self, modality: str, ids: torch.Tensor) -> bool:
        """Return whether a text fills the context, so that its end may have been cut off."""
        return self._count_tokens(modality, ids) >= ids.shape[-1]

    def _count_tokens(self, modality: str, ids: torch.Tensor) -> int:
        pad = getattr(self.space.config.modalities[modality].settings, "pad", 0)
        return max(1, int((ids != pad).sum()))

    def _decode_quickly(self) -> None:
        """Decode the next file; hand it to the slow lane if it takes long."""
        task = self.queue.next_task(text=False)
        if task is None:
            return
        try:
            decoding = self.decoders.start(task.modality, task.items[0])
        except Exception as error:
            self.queue.fail(task.request, error)
            return
        if self._finish(task, decoding, self.limits.quick_seconds):
            return
        with self._lock:
            is_free, self._slow_items = self._slow_items < self.workers, self._slow_items + 1
        if is_free:
            decoding.defer()
            self._lanes.slow.submit(self._decode_slowly, task, decoding)
        else:
            # It starts again when the lane is free: its process must not compete with quick ones.
            decoding.end()
            self._lanes.slow.submit(self._decode_slowly, task, None)

    def _decode_slowly(self, task: Task, decoding: Decoding | None) -> None:
        """Decode a file until its deadline."""
        try:
            if decoding is None:
                if not self.queue.is_open(task.request):
                    return
                decoding = self.decoders.start(task.modality, task.items[0])
                decoding.defer()
            if not self._finish(task, decoding, DEADLINE * self.limits.item.work_seconds):
                decoding.end()
                reason = f"takes more than {self.limits.item.work_seconds:g} s to decode"
                raise ItemError(task.first, reason)
        except Exception as error:
            self.queue.fail(task.request, error)
        finally:
            with self._lock:
                self._slow_items -= 1

    def _finish(self, task: Task, decoding: Decoding, seconds: float) -> bool:
        """Queue a file's clips for the tower.

        Returns:
            False if it isn't decoded so many seconds after its start.
        """
        try:
            clips = decoding.result(seconds, lambda: self.queue.is_open(task.request))
            if clips is None:
                return False
            self._put(task, [clips], [0])
        except Abandoned:
            pass
        except InputError as error:
            self.queue.fail(task.request, ItemError(task.first, error.reason))
        except Exception as error:  # whatever it is, the caller gets it
            self.queue.fail(task.request, error)
        self.queue.charge(task.request.client, decoding.seconds)
        return True

    def _embed(self, batch: Sequence[DecodedItem]) -> list[np.ndarray]:
        """Run the tower; returns the vectors of each item's clips, (clips, dim)."""
        clips = torch.cat([item.clips for item in batch])
        rows_BE = self._compute(batch[0].modality, clips).cpu().float().numpy()
        ends = np.cumsum([len(item.clips) for item in batch])
        found = np.split(rows_BE, ends[:-1])
        for item, rows_SE in zip(batch, found, strict=True):
            defect = clip_vectors(rows_SE).find_defect(f"item {item.index}")
            if defect is not None:
                self.queue.fail(item.request, ItemError(item.index, defect.reason))
        return found
