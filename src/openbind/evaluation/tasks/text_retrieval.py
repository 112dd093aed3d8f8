"""Retrieval between items and their captions, in both directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from openbind.evaluation.embedder import Embedder
from openbind.evaluation.metrics import number_groups
from openbind.evaluation.results import TaskResult
from openbind.evaluation.retrieval import Search, measure_searches
from openbind.evaluation.tasks.task import Side, Task
from openbind.modalities import TEXT
from openbind.space.vectors import combine


@dataclass(frozen=True, kw_only=True)
class Added(Side):
    """The same items in a second modality, whose vectors are added (paper, Table 4).

    Args:
        weight: of this side's vectors; the task's own have 1 - weight.
    """

    weight: float


@dataclass(frozen=True, kw_only=True)
class TextRetrieval(Task):
    """Captions retrieve items and items retrieve captions.

    An item counts as found when any of its captions does (the convention of Clotho, AudioCaps and
    MSR-VTT).

    Args:
        captions: for each item one caption or more; each is a query.
        added: a second side of the items; items that lack it keep the first one's vector.
    """

    captions: Sequence[tuple[str, ...]]
    added: Added | None = None

    per_item: ClassVar[tuple[str, ...]] = ("items", "captions")

    def modalities(self) -> tuple[str, ...]:
        """Return the items' modalities and text."""
        return (self.modality, *([self.added.modality] if self.added else []), TEXT)

    def take(self, indices: Sequence[int]) -> Any:
        """Return the same task with only some items."""
        added = self.added and self.added.take(indices)
        return replace(super().take(indices), added=added)

    def measure(self, embedder: Embedder) -> TaskResult:
        """Return R@k and median ranks of both directions."""
        rows = embedder.embed(self.modality, self.items, self.settings)
        vectors_NE, excluded = rows.vectors_NE, dict(rows.errors)
        if self.added is not None:
            side = self.added
            others = embedder.embed(side.modality, side.items, side.settings)
            # The same file is an item of both sides, so its second failure is marked.
            excluded |= {f"{name} ({side.modality})": why for name, why in others.errors.items()}
            vectors_NE = add_vectors(vectors_NE, others.vectors_NE, side.weight)
        kept = rows.require_some()
        captions = [self.captions[index] for index in kept]
        return measure_searches(
            search_captions(embedder, self._label(), captions, vectors_NE[kept]), excluded
        )

    def _label(self) -> str:
        return self.modality if self.added is None else f"{self.modality} + {self.added.modality}"


def add_vectors(vectors_NE: np.ndarray, added_NE: np.ndarray, weight: float) -> np.ndarray:
    """Return weighted sums of unit length; rows that are NaN on the second side add nothing."""
    both = np.isfinite(vectors_NE).all(axis=1) & np.isfinite(added_NE).all(axis=1)
    if not both.any():
        return vectors_NE
    sums_NE = vectors_NE.copy()
    sums_NE[both] = combine([(vectors_NE[both], 1 - weight), (added_NE[both], weight)])
    return sums_NE


def search_captions(
    embedder: Embedder, label: str, captions: Sequence[tuple[str, ...]], vectors_NE: np.ndarray
) -> list[Search]:
    """Search items by each of their captions, and captions by items.

    Args:
        embedder: embeds the captions.
        label: names the items' side.
        captions: for each item one or more.
        vectors_NE: unit vectors of the items.
    """
    texts = [text for own in captions for text in own]
    item_Q = np.repeat(np.arange(len(captions)), [len(own) for own in captions])
    scores_QN = embedder.embed_prompts([[text] for text in texts]) @ vectors_NE.T
    relevant_QN = item_Q[:, None] == np.arange(len(captions))
    return [
        Search(f"{TEXT} → {label}", scores_QN, relevant_QN, number_groups(item_Q.tolist())),
        Search(f"{label} → {TEXT}", scores_QN.T, relevant_QN.T),
    ]
