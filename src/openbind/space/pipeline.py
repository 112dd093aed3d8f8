"""From items to vectors: batches by shape and cost, each different clip computed once."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
import torch

from openbind.errors import InputError, MissingExtraError
from openbind.modalities.spec import Sample
from openbind.model.memory import release_free
from openbind.space.decoding import Decode, decode_ahead
from openbind.space.vectors import ClipVectors, clip_vectors

T = TypeVar("T")

BATCH_CLIPS = {"cpu": 16, "cuda": 128}
"""Clips of a batch unless the caller chooses; of larger clips fewer, see `BATCH_VALUES`."""
BATCH_VALUES = 3 * 224 * 224
"""Values of a clip of usual size: of one that has twice as many, half as many make a batch."""
TEXT_BATCHES = 8
"""Batches of token ids that are collected and sorted by length, so that little is padding."""
RELEASE_SECONDS = 1.0
"""Between two returns of free memory to the system: that of a long work stays bounded."""
REMEMBERED_CLIPS = 4096
"""Clips whose vectors are kept to recognize equal ones: the clips of a short sound, a still."""


@dataclass(frozen=True)
class Batching:
    """How clips go through a tower.

    Args:
        compute: (modality, clips (batch, ...)) → (batch, width) tensor, on any device.
        batch_size: clips of one call; None chooses by device and by the clips' size.
        device: type of the device that computes, "cpu" or "cuda".
    """

    compute: Callable[[str, torch.Tensor], torch.Tensor]
    batch_size: int | None = None
    device: str = "cpu"

    def clips_of(self, clip: torch.Tensor) -> int:
        """Return how many clips like this one make a batch."""
        if self.batch_size is not None:
            return self.batch_size
        usual = BATCH_CLIPS.get(self.device, BATCH_CLIPS["cuda"])
        return max(1, min(usual, usual * BATCH_VALUES // max(clip.numel(), 1)))


@dataclass(eq=False)
class Finished(Generic[T]):
    """What came of a task.

    Args:
        task: as the caller gave it.
        modality: of its samples.
        vectors: of its clips, one entry a sample.
        error: why it can't be used; None if it can.
        samples: how many were decoded.
        thumbnails: of the samples, where they were asked for.
    """

    task: T
    modality: str
    vectors: list[ClipVectors] = field(default_factory=list)
    error: InputError | None = None
    samples: int = 0
    thumbnails: list[bytes | None] = field(default_factory=list)


def run_tasks(
    tasks: Iterable[tuple[str, T]],
    decode: Decode[T],
    batching: Batching,
    *,
    workers: int | None = None,
    processes: bool = False,
    on_sample: Callable[[T, Sample], object] | None = None,
) -> Iterator[Finished[T]]:
    """Decode tasks ahead and compute the vectors of their samples, in the tasks' order.

    Args:
        tasks, decode, workers, processes: as in `decode_ahead`. What decoding raises becomes the
            task's error, but for what no other item would do better: an unknown name or setting.
        batching: what computes, and how much at once.
        on_sample: called for each sample when it is decoded.
    """
    window = _Window[T](batching)
    lanes = decode_ahead(tasks, decode, workers=workers, processes=processes)
    with closing(lanes):
        for modality, task, samples in lanes:
            finished = Finished(task, modality)
            for sample in _until_error(samples, finished):
                if on_sample is not None:
                    on_sample(task, sample)
                window.add(finished, sample)
            yield from window.end(finished)
    window.compute()
    yield from window.release()


def _until_error(samples: Iterator[Sample], finished: Finished[T]) -> Iterator[Sample]:
    """Yield samples up to the first error, which becomes that of their task."""
    try:
        yield from samples
    except InputError as error:
        finished.error = error
    except OSError as error:
        finished.error = InputError(error.filename or "item", error.strerror or str(error))
    except MissingExtraError as error:
        finished.error = InputError("item", str(error))
        finished.error.__cause__ = error


class _Window(Generic[T]):
    """Samples that wait for their batch, and tasks that wait for their vectors."""

    def __init__(self, batching: Batching) -> None:
        self.embedder = ClipEmbedder(batching)
        self.waiting: list[tuple[Finished[T], Sample]] = []
        self.clips = 0
        self.released = time.monotonic()
        self.ended: deque[Finished[T]] = deque()

    def add(self, finished: Finished[T], sample: Sample) -> None:
        """Take a sample; compute when there are enough for a batch (of text, several)."""
        finished.samples += 1
        finished.thumbnails.append(sample.thumbnail)
        self.waiting.append((finished, sample))
        self.clips += len(sample.clips)
        first = self.waiting[0][1].clips
        batches = TEXT_BATCHES if _are_ids(first[0]) else 1
        if self.clips >= batches * self.embedder.batching.clips_of(first[0]):
            self.compute()

    def end(self, finished: Finished[T]) -> Iterator[Finished[T]]:
        """Note that all samples of a task are here; yields the tasks that are done."""
        self.ended.append(finished)
        return self.release()

    def compute(self) -> None:
        """Replace the samples that wait by their vectors."""
        waiting, self.waiting, self.clips = self.waiting, [], 0
        for modality in dict.fromkeys(owner.modality for owner, _ in waiting):
            chosen = [(owner, s) for owner, s in waiting if owner.modality == modality]
            rows = iter(self.embedder(modality, [clip for _, s in chosen for clip in s.clips]))
            for owner, sample in chosen:
                vectors_SE = np.stack([next(rows) for _ in sample.clips])
                owner.vectors.append(clip_vectors(vectors_SE, sample.times))
        if time.monotonic() - self.released >= RELEASE_SECONDS:
            release_free()
            self.released = time.monotonic()

    def release(self) -> Iterator[Finished[T]]:
        """Yield finished tasks, as long as none before them waits."""
        while self.ended and len(self.ended[0].vectors) == self.ended[0].samples:
            yield self.ended.popleft()


class ClipEmbedder:
    """Computes the vectors of clips in batches of one shape, each different clip once.

    Args:
        batching: what computes, and how much at once.
    """

    def __init__(self, batching: Batching) -> None:
        self.batching = batching
        self._known: OrderedDict[bytes, np.ndarray] = OrderedDict()

    def __call__(self, modality: str, clips: Sequence[torch.Tensor]) -> Sequence[np.ndarray]:
        """Compute one row a clip; clips may differ in shape."""
        keys = [_clip_key(modality, clip) for clip in clips]
        new = {key: clip for key, clip in zip(keys, clips, strict=True) if key not in self._known}
        by_shape: dict[torch.Size, list[bytes]] = {}
        for key, clip in new.items():
            by_shape.setdefault(clip.shape, []).append(key)
        computed: list[tuple[list[bytes], torch.Tensor]] = []
        for group in by_shape.values():
            if _are_ids(new[group[0]]):
                group.sort(key=lambda key: _length(new[key]))
            size = self.batching.clips_of(new[group[0]])
            for start in range(0, len(group), size):
                part = group[start : start + size]
                batch = torch.stack([new[key] for key in part])
                computed.append((part, self.batching.compute(modality, batch)))
        # Fetched after all batches are under way, so that a GPU doesn't wait for the copies.
        for part, rows_BE in computed:
            self._known.update(zip(part, rows_BE.float().cpu().numpy(), strict=True))
        found = [self._known[key] for key in keys]
        while len(self._known) > REMEMBERED_CLIPS:
            self._known.popitem(last=False)
        return found


def _clip_key(modality: str, clip: torch.Tensor) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{modality}{clip.dtype}{tuple(clip.shape)}".encode())
    digest.update(clip.contiguous().numpy().data)
    return digest.digest()


def _are_ids(clip: torch.Tensor) -> bool:
    """Return whether a clip is a row of token ids or bytes, which may end in padding."""
    return clip.ndim == 1 and not clip.is_floating_point()


def _length(ids_N: torch.Tensor) -> int:
    """Return the length of token ids without the padding at their end."""
    differs = (ids_N != ids_N[-1]).nonzero()
    return int(differs[-1]) + 1 if len(differs) else 0
