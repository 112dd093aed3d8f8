"""Requests, their items before and after decoding, and how much work they are."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from openbind.errors import OpenbindError
from openbind.modalities import TEXT
from openbind.serving.long_texts import Truncate
from openbind.space.vectors import clip_vectors

CLIP_TOKENS = 256
"""Text tokens that take as long as a clip of any other modality."""
SHORT_TOKENS = 16
"""Texts up to this length cost about the same."""
PIECE_SECONDS = 0.5
"""Assumed time of a batch of one item's clips."""
TASK_CHARACTERS = 32_768
"""Characters of the texts that are tokenized at once, some 20 ms."""
UNIT_CHARACTERS = 2000
"""Characters that take as long to tokenize as a short text in its tower."""


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
    """Items that one caller waits for.

    Args:
        client: who sent it; clients share the machine equally.
        start: its place on the fair clock.
        share: seconds on the fair clock for each second of its work.
        left: modality → units of work that have no vector yet.
        truncate: what becomes of its long texts.
    """

    client: str
    start: float
    share: float
    left: dict[str, float]
    count: int = 0
    truncate: Truncate = "average"
    future: Future[EmbeddingResult] = field(default_factory=Future)
    tokens: int = 0
    arrived: float = field(default_factory=time.perf_counter)
    vectors: dict[int, np.ndarray] = field(default_factory=dict)
    pieces: dict[int, dict[int, np.ndarray]] = field(default_factory=dict)

    def store(self, item: DecodedItem, rows_SE: np.ndarray) -> bool:
        """Keep the vectors of an item's clips; with its last piece they are pooled.

        Returns:
            whether all items have their vector.
        """
        pieces = self.pieces.setdefault(item.index, {})
        pieces[item.piece] = rows_SE
        if len(pieces) == item.pieces:
            joined_SE = np.concatenate([pieces[at] for at in range(item.pieces)])
            self.vectors[item.index] = clip_vectors(joined_SE).mean_vector()
            del self.pieces[item.index]
        return len(self.vectors) == self.count


@dataclass(frozen=True, eq=False)
class Task:
    """Items of one request and modality to decode at once: one file, or some texts.

    Args:
        request: the request they belong to.
        first: position of the first in the request.
        items: as they were sent.
        orders: the place of each on the fair clock.
    """

    request: Request
    modality: str
    first: int
    items: tuple[Any, ...]
    orders: tuple[float, ...]

    @property
    def is_text(self) -> bool:
        """Whether it is tokenized rather than decoded."""
        return self.modality == TEXT


@dataclass(frozen=True, eq=False)
class DecodedItem:
    """One item of a request, ready for its tower.

    Args:
        request: the request it belongs to.
        modality: of the item.
        index: its position in the request.
        clips: (clips, ...) as the tower takes them.
        tokens: of a text; 0 for other modalities.
        order: items with the lowest are embedded first.
        units: of work, see `units_of`.
        piece, pieces: which part of an item of many clips this is, and how many it has.
    """

    request: Request
    modality: str
    index: int
    clips: torch.Tensor
    tokens: int
    order: float
    units: float
    piece: int = 0
    pieces: int = 1

    @property
    def length(self) -> int:
        """Tokens that each of its rows counts for."""
        return self.tokens or CLIP_TOKENS

    def batches_with(self, other: DecodedItem) -> bool:
        """Return whether both fit in one batch without the shorter being mostly padding."""
        a, b = max(self.length, SHORT_TOKENS), max(other.length, SHORT_TOKENS)
        same_modality = self.modality == other.modality
        same_shape = self.clips.shape[1:] == other.clips.shape[1:]
        return same_modality and same_shape and max(a, b) <= 2 * min(a, b)


def units_of(item: Any) -> float:
    """Return the work of an item: 1, of a text more the longer it is."""
    return 1 + len(item) / UNIT_CHARACTERS if isinstance(item, str) else 1.0


def cut_tasks(
    request: Request, items: Sequence[tuple[str, Any]], costs: Sequence[float]
) -> list[Task]:
    """Cut a request into tasks, each item at its place on the fair clock.

    Args:
        request: of the items.
        items: (modality, item) pairs.
        costs: of each, in seconds.
    """
    ends = request.start + request.share * np.cumsum(costs)
    orders = [request.start, *map(float, ends[:-1])]
    tasks: list[Task] = []
    first = 0
    while first < len(items):
        modality, end = items[first][0], first + 1
        characters = len(items[first][1])
        while modality == TEXT and end < len(items) and items[end][0] == TEXT:
            characters += len(items[end][1])
            if characters > TASK_CHARACTERS:
                break
            end += 1
        chosen = tuple(item for _, item in items[first:end])
        tasks.append(Task(request, modality, first, chosen, tuple(orders[first:end])))
        first = end
    return tasks


def cut_item(task: Task, at: int, pieces: Sequence[torch.Tensor], tokens: int) -> list[DecodedItem]:
    """Return a decoded item in pieces that each fit a batch: others have their turn in between.

    Args:
        task: of the item.
        at: its position in the task.
        pieces: of its clips, each (clips, ...).
        tokens: of a text; 0 for other modalities.
    """
    units, order = units_of(task.items[at]) / len(pieces), task.orders[at]
    steps = [PIECE_SECONDS * task.request.share * number for number in range(len(pieces))]
    return [
        DecodedItem(
            task.request,
            task.modality,
            task.first + at,
            clips,
            tokens,
            order + step,
            units,
            number,
            len(pieces),
        )
        for number, (clips, step) in enumerate(zip(pieces, steps, strict=True))
    ]
