"""Requests that arrive together go through a tower together; what can't be done soon is refused.

Items are decoded by a few threads and wait, as tensors, for one thread that runs the towers. It
takes those of one kind at a time, as many as fit its budget; what arrives while it is at work is
the next batch, so nobody waits for a batch to fill.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch

from openbind.errors import InputError
from openbind.modalities import MODALITIES
from openbind.serving.limits import Limits, check_item
from openbind.space.pipeline import unit_rows
from openbind.space.space import Space

DECODERS = 2
"""Threads that decode; the tower's own threads take the rest of the machine."""
BATCH_TOKENS = 4096
"""Tokens of one batch, those that fill up shorter texts included."""
CLIP_TOKENS = 256
"""Tokens that a clip of anything but words counts for: 16 clips are one batch."""
SHORT_TOKENS = 16
"""Texts up to this length cost about the same."""
FIRST_PACE = 0.02
"""Seconds an item is thought to take before any was measured."""
PACE_MEMORY = 0.8
"""Share of the old pace that stays when a batch was measured."""


class Overloaded(Exception):  # noqa: N818 - what the service is, not what went wrong
    """More work is waiting than will be done soon.

    Attributes:
        retry_seconds: when to come back.
    """

    def __init__(self, retry_seconds: float) -> None:
        self.retry_seconds = max(1, math.ceil(retry_seconds))
        super().__init__(f"too much work is waiting; try again in {self.retry_seconds} s")


class ItemRefusedError(InputError):
    """One item of a request can't be used.

    Attributes:
        place: of the item in its request.
    """

    def __init__(self, place: int, reason: str) -> None:
        super().__init__(f"item {place}", reason)
        self.place = place


class Watch(Protocol):
    """What is told of the batches that were run."""

    def batch_done(self, modality: str, items: int, seconds: float) -> None:
        """Take note of a batch."""


@dataclass(frozen=True)
class Embedded:
    """The vectors of a request.

    Args:
        vectors_NE: (items, dim) float32, unit rows.
        tokens: that its texts had; 0 for what has none.
    """

    vectors_NE: np.ndarray
    tokens: int


@dataclass(eq=False)
class _Request:
    modality: str
    pace: float
    left: int
    future: Future[Embedded] = field(default_factory=Future)
    rows: dict[int, np.ndarray] = field(default_factory=dict)
    tokens: int = 0
    turn: int | None = None
    arrived: float = field(default_factory=time.perf_counter)

    @property
    def backlog_seconds(self) -> float:
        return self.left * self.pace


@dataclass(frozen=True, eq=False)
class _Piece:
    """One item of a request, decoded.

    Args:
        request: it belongs to.
        place: in the request.
        clips: (clips, ...) as its tower takes them.
        length: tokens that each of its rows counts for.
        turn: the least goes first.
    """

    request: _Request
    place: int
    clips: torch.Tensor
    length: int
    turn: int

    @property
    def kind(self) -> tuple[str, torch.Size]:
        return self.request.modality, self.clips.shape[1:]


class Batcher:
    """Embeds the items of many requests at once.

    Args:
        space: embeds them.
        limits: of items, of the work that may wait, of memory.
        watch: is told of every batch.
    """

    def __init__(self, space: Space, limits: Limits, watch: Watch | None = None) -> None:
        self.space = space
        self.limits = limits
        self._watch = watch
        self._changed = threading.Condition()
        self._waiting: list[_Piece] = []
        self._open_requests: set[_Request] = set()
        self._pace: dict[str, float] = {}
        self._turn = 0
        self._decoded_bytes = 0
        self._done_at = 0.0
        self._closing = False
        self._decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="openbind-serve-decode")
        self._runner = threading.Thread(target=self._run, name="openbind-serve-model", daemon=True)
        self._runner.start()

    @property
    def backlog_seconds(self) -> float:
        """How long what has been taken will need, by the pace measured."""
        with self._changed:
            return sum(request.backlog_seconds for request in self._open_requests)

    def embed(self, modality: str, items: Sequence[Any]) -> Future[Embedded]:
        """Take items of one modality, to be embedded with those of other requests.

        Args:
            modality: one of the space's.
            items: texts, or bytes of files; at least one.

        Returns:
            what gives the vectors, or raises `ItemRefusedError` for the first item that can't be
            used.

        Raises:
            Overloaded: more is waiting than the limits allow, or the service is closing.
        """
        with self._changed:
            backlog = sum(request.backlog_seconds for request in self._open_requests)
            pace = self._pace.get(modality, FIRST_PACE)
            # A request on its own is never too large: its items are limited elsewhere.
            too_much = backlog and backlog + pace * len(items) > self.limits.wait_seconds
            if too_much or self._closing:
                raise Overloaded(backlog / 2)
            request = _Request(modality, pace, len(items))
            self._open_requests.add(request)
        self._decoders.submit(self._decode, request, list(items))
        return request.future

    def close(self) -> None:
        """Finish what was taken, take nothing more, and end the threads."""
        with self._changed:
            self._closing = True
            self._changed.wait_for(lambda: not self._open_requests)
            self._changed.notify_all()
        self._decoders.shutdown()
        self._runner.join()

    def _decode(self, request: _Request, items: list[Any]) -> None:
        """Turn a request's items into pieces, as far as memory allows ahead of the towers."""
        place = 0
        try:
            for clips in self._tensors(request.modality, items):
                self._offer(request, place, clips)
                place += 1
        except ItemRefusedError as error:
            self._fail(request, error)
        except InputError as error:
            self._fail(request, ItemRefusedError(place, error.reason))
        except Exception as error:  # whoever asked is told, whatever it is
            self._fail(request, error)

    def _tensors(self, modality: str, items: list[Any]) -> Iterator[torch.Tensor]:
        """Decode items one by one, texts all in one go; gives each one's (clips, ...)."""
        for place, item in enumerate(items):
            try:
                check_item(item, self.limits)
            except InputError as error:
                raise ItemRefusedError(place, error.reason) from error
        if all(isinstance(item, str) for item in items):
            yield from self.space.preprocess(modality, items).split(1)
            return
        axes = MODALITIES.get(modality).clip_dims + 1
        for item in items:
            tensor = self.space.preprocess(modality, item)
            yield tensor.flatten(0, tensor.ndim - axes)

    def _offer(self, request: _Request, place: int, clips: torch.Tensor) -> None:
        """Put an item among those that wait for their tower, once there is room."""
        words = 0 if clips.is_floating_point() else self._count_tokens(request.modality, clips)
        with self._changed:
            self._changed.wait_for(
                lambda: not self._waiting or self._decoded_bytes < self.limits.decoded_bytes
            )
            if request.future.done():
                return
            request.tokens += words
            # Items of a request take turns one behind the other, beside those of other requests:
            # a single question doesn't wait for a thousand texts.
            request.turn = self._turn if request.turn is None else request.turn + 1
            self._waiting.append(_Piece(request, place, clips, words or CLIP_TOKENS, request.turn))
            self._decoded_bytes += clips.nbytes
            self._changed.notify_all()

    def _count_tokens(self, modality: str, ids_BN: torch.Tensor) -> int:
        pad = getattr(self.space.config.modalities[modality].settings, "pad", 0)
        return max(1, int((ids_BN != pad).sum()))

    def _fail(self, request: _Request, error: Exception) -> None:
        with self._changed:
            if not request.future.done():
                request.future.set_exception(error)
            for piece in [p for p in self._waiting if p.request is request]:
                self._remove(piece)
            self._open_requests.discard(request)
            self._changed.notify_all()

    def _remove(self, piece: _Piece) -> None:
        self._waiting.remove(piece)
        self._decoded_bytes -= piece.clips.nbytes

    def _run(self) -> None:
        """Embed batch after batch until the service is closed."""
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._waiting or (self._closing and not self._open_requests)
                )
                if not self._waiting:
                    return
                batch = self._take()
            try:
                self._embed(batch)
            except Exception as error:  # whoever asked is told, and the next batch is run
                for piece in batch:
                    self._fail(piece.request, error)

    def _take(self) -> list[_Piece]:
        """Choose the piece whose turn it is, and those of its kind that fit beside it.

        The nearest in length go first, since the shorter ones are filled up to the longest.
        """
        first = min(self._waiting, key=lambda piece: piece.turn)
        alike = [p for p in self._waiting if p is not first and _go_together(p, first)]
        alike.sort(key=lambda piece: (abs(piece.length - first.length), piece.turn))
        batch = [first]
        rows, longest = len(first.clips), first.length
        for piece in alike:
            longest = max(longest, piece.length)
            rows += len(piece.clips)
            if rows * longest > BATCH_TOKENS:
                break
            batch.append(piece)
        for piece in batch:
            self._remove(piece)
        self._turn = max(self._turn, first.turn)
        self._changed.notify_all()
        return batch

    def _embed(self, batch: list[_Piece]) -> None:
        """Run the tower, and answer the requests that are complete."""
        start = time.perf_counter()
        modality = batch[0].request.modality
        clips = torch.cat([piece.clips for piece in batch])
        rows_BE = torch.cat(
            [
                self.space.embed_tensors({modality: part})[modality].float().cpu()
                for part in clips.split(max(1, BATCH_TOKENS // batch[0].length))
            ]
        ).numpy()
        ends = np.cumsum([len(piece.clips) for piece in batch])
        items = np.split(rows_BE, ends[:-1])
        with self._changed:
            for piece, rows_SE in zip(batch, items, strict=True):
                self._answer(piece, rows_SE)
            self._learn(modality, batch)
            self._changed.notify_all()
        if self._watch is not None:
            self._watch.batch_done(modality, len(batch), time.perf_counter() - start)

    def _answer(self, piece: _Piece, rows_SE: np.ndarray) -> None:
        """Keep an item's vector as `Space.encode` makes it; the last completes its request."""
        request = piece.request
        request.rows[piece.place] = (
            rows_SE[0] if len(rows_SE) == 1 else unit_rows(rows_SE.mean(axis=0))
        )
        request.left -= 1
        if not request.left and not request.future.done():
            vectors_NE = np.stack([request.rows[place] for place in sorted(request.rows)])
            request.future.set_result(Embedded(vectors_NE, request.tokens))
            self._open_requests.discard(request)

    def _learn(self, modality: str, batch: list[_Piece]) -> None:
        """Measure the pace: seconds an item, decoding included, while there was work."""
        now = time.perf_counter()
        since = max(self._done_at, min(piece.request.arrived for piece in batch))
        self._done_at = now
        old, new = self._pace.get(modality), (now - since) / len(batch)
        self._pace[modality] = new if old is None else PACE_MEMORY * old + (1 - PACE_MEMORY) * new


def _go_together(a: _Piece, b: _Piece) -> bool:
    """Return whether two items fit in one batch without the shorter being mostly filled up."""
    shorter, longer = sorted((max(a.length, SHORT_TOKENS), max(b.length, SHORT_TOKENS)))
    return a.kind == b.kind and longer <= 2 * shorter
