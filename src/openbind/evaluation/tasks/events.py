"""Events in recordings: does the best moment of a name cover when it happens?"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from openbind.errors import InputError
from openbind.evaluation.embedder import Embedder
from openbind.evaluation.metrics import effective_count, fraction_interval, number_groups
from openbind.evaluation.results import Score, TaskResult
from openbind.evaluation.tasks.task import Task
from openbind.localisation.moments import Span
from openbind.modalities import TEXT

FOUND = 0.5
"""Intersection over union from which a moment counts as found."""


@dataclass(frozen=True, kw_only=True)
class Events(Task):
    """Texts with the recordings in which they are to be found.

    Args:
        recordings: for each text its recording.
        spans: for each text when it happens, once or more often.
        recording_modality: of the recordings.
    """

    recordings: Sequence[Any]
    spans: Sequence[Sequence[Span]]
    recording_modality: str

    per_item: ClassVar[tuple[str, ...]] = ("items", "recordings", "spans")

    def modalities(self) -> tuple[str, ...]:
        """Return text and the recordings' modality."""
        return (TEXT, self.recording_modality)

    def measure(self, embedder: Embedder) -> TaskResult:
        """Return the mean overlap of all moments with the spans, and how often the best one hits.

        Chance is the answer "all of it".
        """
        vectors_NE = embedder.embed(TEXT, self.items).vectors_NE
        values: list[tuple[float, float, float, float]] = []
        excluded: dict[str, str] = {}
        heard: list[str] = []
        for vector_E, recording, spans in zip(vectors_NE, self.recordings, self.spans, strict=True):
            try:
                moments = embedder.space.moments(
                    recording, vector_E, modality=self.recording_modality
                )
            except InputError as error:
                excluded[str(recording)] = error.reason
                continue
            found = [moment[:2] for moment in moments]
            whole = [(0.0, max(end for _, end in [*found, *spans]))]
            best = max(shared_spans([found[0]], [span]) for span in spans)
            all_of_it = max(shared_spans(whole, [span]) for span in spans)
            values.append((shared_spans(found, spans), shared_spans(whole, spans), best, all_of_it))
            heard.append(str(recording))
        if not values:
            raise InputError(self.name, f"no recording can be used: {excluded}")
        return TaskResult(scores=self._scores(np.array(values), heard), excluded=excluded)

    def _scores(self, values_N4: np.ndarray, heard: Sequence[str]) -> list[Score]:
        count, hits_N2 = len(values_N4), values_N4[:, 2:] >= FOUND
        hit = float(hits_N2[:, 0].mean())
        trials = effective_count(hits_N2[:, 0], number_groups(heard))
        return [
            Score(
                task=self.name,
                metric="IoU",
                value=float(values_N4[:, 0].mean()),
                chance=float(values_N4[:, 1].mean()),
                count=count,
            ),
            Score(
                task=self.name,
                metric=f"R@1, IoU {FOUND}",
                value=hit,
                chance=float(hits_N2[:, 1].mean()),
                interval=fraction_interval(hit, trials),
                count=count,
            ),
        ]


def shared_spans(one: Sequence[Span], other: Sequence[Span]) -> float:
    """Return the intersection over union of two sets of spans; each set is its union."""
    edges = sorted({edge for span in (*one, *other) for edge in span})
    shared = covered = 0.0
    for start, end in itertools.pairwise(edges):
        inside = [any(a <= start and end <= b for a, b in spans) for spans in (one, other)]
        shared += (end - start) * all(inside)
        covered += (end - start) * any(inside)
    return shared / max(covered, 1e-12)
