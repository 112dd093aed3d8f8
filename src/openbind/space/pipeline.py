"""Items to clips to vectors: decoding ahead in threads, batching, embedding each clip once."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


class ClipVectors(np.ndarray):
    """Vectors of one item's clips, (clips, dim) float32, with the clips' `times`.

    Attributes:
        times: (start, end) of each clip in seconds, or None for items that don't last.
    """

    times: tuple[tuple[float, float], ...] | None

    def __array_finalize__(self, source: object) -> None:
        self.times = getattr(source, "times", None)


def clip_vectors(
    vectors_SE: np.ndarray, times: tuple[tuple[float, float], ...] | None
) -> ClipVectors:
    """Join the vectors of an item's clips with their times."""
    joined = np.ascontiguousarray(vectors_SE).view(ClipVectors)
    joined.times = times
    return joined


def map_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int = 2, ahead: int = 32
) -> Iterator[Callable[[], Result]]:
    """Run `function` on items in threads, at most `ahead` of the reader, in the items' order.

    Yields:
        for each item a function that returns the result or raises what the item's run raised.
    """
    with ThreadPoolExecutor(workers, thread_name_prefix="openbind-decode") as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result
            while waiting:
                yield waiting.popleft().result
        finally:
            for future in waiting:
                future.cancel()


@dataclass
class ClipEmbedder:
    """Embeds clips in batches of one shape, each different clip once.

    Args:
        embed: (batch, ...) tensor → (batch, dim) float32 tensor of unit rows.
        batch_size: clips in one call of `embed`.
    """

    embed: Callable[[torch.Tensor], torch.Tensor]
    batch_size: int

    def __post_init__(self) -> None:
        self._vectors: dict[bytes, np.ndarray] = {}

    def __call__(self, clips: Sequence[torch.Tensor]) -> np.ndarray:
        """Embed clips of any shapes; returns (len(clips), dim) float32 in their order."""
        keys = [_content_key(clip) for clip in clips]
        new = {key: clip for key, clip in zip(keys, clips, strict=True) if key not in self._vectors}
        by_shape: dict[torch.Size, list[bytes]] = {}
        for key, clip in new.items():
            by_shape.setdefault(clip.shape, []).append(key)
        for group in by_shape.values():
            for start in range(0, len(group), self.batch_size):
                part = group[start : start + self.batch_size]
                vectors = self.embed(torch.stack([new[key] for key in part])).numpy()
                self._vectors.update(zip(part, vectors, strict=True))
        return np.stack([self._vectors[key] for key in keys])


def _content_key(clip: torch.Tensor) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr((clip.dtype, tuple(clip.shape))).encode())
    digest.update(clip.contiguous().numpy().tobytes())
    return digest.digest()


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Scale the last axis to unit length (float64 inside, float32 out); zero rows stay zero."""
    wide = vectors.astype(np.float64)
    norms = np.linalg.norm(wide, axis=-1, keepdims=True)
    return np.asarray(wide / np.maximum(norms, 1e-12), dtype=np.float32)
