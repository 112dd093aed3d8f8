"""Dynamic batching: requests that arrive together go through a tower together.

A few threads decode items; one thread runs the towers, on whatever is decoded and fits one batch.
What arrives while it runs is the next batch, so no request waits for a batch to fill.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import torch

from openbind.errors import InputError
from openbind.serving.limits import Limits, check_item
from openbind.serving.request_queue import (
    BATCH_CLIPS,
    DecodedItem,
    EmbeddingResult,
    Request,
    RequestQueue,
)
from openbind.space.space import Space
from openbind.space.vectors import clip_vectors

DECODERS = 2
"""Decoding threads; the threads of the tower take the rest of the machine."""
GPU_BATCH_CLIPS = 128


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


class Batcher:
    """Embeds the items of many concurrent requests.

    Args:
        space: embeds them.
        limits: of items, of queued work, of memory.
        observer: called after every batch.
        batch_size: clips of one batch; None chooses by device.
        workers: decoding threads; None starts `DECODERS`.
        executors: run the decoding and, one call at a time, the towers; threads by default.
    """

    def __init__(
        self,
        space: Space,
        limits: Limits,
        observer: BatchObserver | None = None,
        *,
        batch_size: int | None = None,
        workers: int | None = None,
        executors: tuple[Executor, Executor] | None = None,
    ) -> None:
        self.space = space
        self.limits = limits
        self._compute = space.batching().compute
        clips = BATCH_CLIPS if space.batching().device == "cpu" else GPU_BATCH_CLIPS
        self.queue = RequestQueue(limits, batch_size or clips)
        self._observer = observer
        self._decoders, self._runner = executors or (
            ThreadPoolExecutor(workers or DECODERS, "openbind-serve-decode"),
            ThreadPoolExecutor(1, "openbind-serve-model"),
        )

    @property
    def backlog_seconds(self) -> float:
        """Estimated time until all open requests are answered."""
        return self.queue.backlog_seconds

    def embed(self, modality: str, items: Sequence[Any]) -> Future[EmbeddingResult]:
        """Queue items of one modality, to be embedded in batches with those of other requests.

        Args:
            modality: one of the space's.
            items: texts, or contents of files; at least one.

        Returns:
            a future of the vectors. It raises `ItemError` for the first item that can't be used;
            `cancel` takes the request out at any stage.

        Raises:
            InputError: no items.
            OverloadedError: more work is queued than the limits allow, or the batcher is closed.
        """
        if not items:
            raise InputError("items", "expected at least one")
        request = self.queue.add(modality, len(items))
        self._decoders.submit(self._decode, request, list(items))
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
            self.queue.finish(batch, self._embed(batch))
        except Exception as error:  # its requests get the error; the next batch is run
            for item in batch:
                self.queue.fail(item.request, error)
        if self._observer is not None:
            seconds = time.perf_counter() - start
            self._observer.batch_done(batch[0].request.modality, len(batch), seconds)
        return True

    def close(self) -> None:
        """Answer the open requests, admit no more, and end the threads."""
        self.queue.close()
        self._decoders.shutdown()
        self._runner.shutdown()

    def _run(self) -> None:
        while self.run_batch():
            pass

    def _decode(self, request: Request, items: list[Any]) -> None:
        """Decode a request's items, as far ahead of the towers as memory allows."""
        try:
            _check_items(items, self.limits)
            # Texts take no time to decode: they are queued together, everything else one by one.
            step = len(items) if isinstance(items[0], str) else 1
            for first in range(0, len(items), step):
                chosen = enumerate(items[first : first + step], first)
                decoded = [self._decode_item(request.modality, *item) for item in chosen]
                if not self.queue.is_open(request):
                    return
                tokens = [self._count_tokens(request.modality, clips) for clips in decoded]
                self.queue.put(request, first, decoded, tokens)
                self._runner.submit(self._run)
        except Exception as error:  # whatever it is, the caller gets it
            self.queue.fail(request, error)

    def _decode_item(self, modality: str, index: int, item: Any) -> torch.Tensor:
        """Return the clips of an item, (clips, ...)."""
        try:
            (sample,) = self.space.decoder.samples(modality, item)
        except InputError as error:
            raise ItemError(index, error.reason) from error
        clips: torch.Tensor = sample.clips
        return clips

    def _count_tokens(self, modality: str, clips: torch.Tensor) -> int:
        if clips.is_floating_point():
            return 0
        pad = getattr(self.space.config.modalities[modality].settings, "pad", 0)
        return max(1, int((clips != pad).sum()))

    def _embed(self, batch: Sequence[DecodedItem]) -> list[np.ndarray]:
        """Run the tower, and pool the clips of each item as `Space.encode` does."""
        modality, length = batch[0].request.modality, batch[0].length
        clips = torch.cat([item.clips for item in batch])
        # Together larger than a batch: only the clips of a single long item.
        parts = clips.split(max(1, self.queue.batch_tokens // length))
        rows_BE = torch.cat([self._compute(modality, part).cpu() for part in parts])
        ends = np.cumsum([len(item.clips) for item in batch])
        items = np.split(rows_BE.float().numpy(), ends[:-1])
        return [clip_vectors(rows_SE).mean_vector() for rows_SE in items]


def _check_items(items: Sequence[Any], limits: Limits) -> None:
    """Check all items before the first is decoded.

    Raises:
        ItemError: one exceeds a limit.
    """
    for index, item in enumerate(items):
        try:
            check_item(item, limits)
        except InputError as error:
            raise ItemError(index, error.reason) from error
