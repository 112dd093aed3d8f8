"""Two sounds joined: does the best moment cover the second?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from openbind.evaluation.embedder import Embedder
from openbind.evaluation.results import Score, TaskResult
from openbind.evaluation.tasks.mosaics import Queries, _Asked
from openbind.evaluation.tasks.task import Task
from openbind.media.audio import read_audio
from openbind.signal.resample import resample

SECONDS, RATE_HZ = 5.0, 32_000


@dataclass(frozen=True, kw_only=True)
class Joined(Task):
    """Recordings of different things, joined two by two.

    Args:
        keys: what each recording is of.
        queries: modality → queries of the same things.
        count: of joined recordings.
        seed: of the draw.
    """

    keys: Sequence[str]
    queries: Mapping[str, Queries]
    count: int = 20
    seed: int = 0

    per_item: ClassVar[tuple[str, ...]] = ("items", "keys")

    def measure(self, embedder: Embedder) -> TaskResult:
        """Find the second sound, by queries of it and, as a control, by those of other things."""
        space = embedder.space
        asked = {n: _Asked(q, embedder) for n, q in self.queries.items() if n in space.modalities}
        found: dict[tuple[str, str], list[float]] = {}
        generator = np.random.default_rng(self.seed)
        for _ in range(self.count):
            first, second = self._draw(generator)
            recording = join(self.items[first], self.items[second])
            keys = (self.keys[first], self.keys[second])
            for name, own in asked.items():
                absent = [key for key in own.by_key if key not in keys]
                there = own.draw(keys[1], (self.items[second],), generator)
                if there is None or not absent:
                    continue
                other = own.draw(absent[int(generator.integers(len(absent)))], (), generator)
                for metric, query_E in (("IoU", there), ("IoU, shuffled", other)):
                    moments = space.moments(recording, query_E, modality=self.modality)
                    value = shared_part(moments[0][:2], (SECONDS, 2 * SECONDS))
                    found.setdefault((name, metric), []).append(value)
        return TaskResult(
            scores=[
                Score(
                    task=f"{name} in {self.name}",
                    metric=metric,
                    value=float(np.mean(values)),
                    chance=0.5,  # of answering with the whole recording
                    count=len(values),
                )
                for (name, metric), values in found.items()
            ]
        )

    def _draw(self, generator: np.random.Generator) -> tuple[int, int]:
        keys = generator.permutation(sorted(set(self.keys)))[:2]
        first, second = (
            int(generator.choice([i for i, own in enumerate(self.keys) if own == key]))
            for key in keys
        )
        return first, second


def shared_part(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return the intersection over union of two spans."""
    shared = max(0.0, min(one[1], other[1]) - max(one[0], other[0]))
    return shared / max(one[1] - one[0] + other[1] - other[0] - shared, 1e-12)


def join(*items: Any) -> tuple[np.ndarray, int]:
    """Return `SECONDS` of each recording, repeated if it is shorter, as loud as each other."""
    parts = []
    for item in items:
        audio = read_audio(item, 0.0, SECONDS)
        mono_CT = torch.from_numpy(audio.samples_CT.mean(axis=0, keepdims=True))
        samples = resample(mono_CT, audio.rate_hz, RATE_HZ)[0].numpy()
        looped = np.resize(samples, int(SECONDS * RATE_HZ))
        loudness = float(np.sqrt(np.mean(looped.astype(np.float64) ** 2)))
        parts.append(looped * (0.1 / max(loudness, 1e-6)))
    return np.concatenate(parts).clip(-1, 1).astype(np.float32), RATE_HZ
