"""Retrieval between two modalities of the same scenes, without text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from openbind.errors import InputError
from openbind.evaluation.collection import CollectionItem, ItemSet, share_scenes
from openbind.evaluation.embedder import Embedder
from openbind.evaluation.results import TaskResult
from openbind.evaluation.retrieval import Search, measure_searches
from openbind.evaluation.tasks.task import Side, Task
from openbind.modalities import TEXT


@dataclass(frozen=True, kw_only=True)
class PairRetrieval(Task):
    """Items of two modalities retrieve each other, scene by scene.

    Args:
        other: the second side, scene by scene.
    """

    other: Side

    @classmethod
    def build(cls, items: ItemSet) -> Sequence[Task]:
        """Return one task for each two modalities that show the same scenes."""
        found = []
        sides = {modality: side for modality, side in items.sides.items() if modality != TEXT}
        for (one, first), (two, second) in combinations(sides.items(), 2):
            if share_scenes(first.items, second.items):
                pairs = _match_scenes(first.items, second.items)
                found.append(
                    cls(
                        name=f"{one} ↔ {two}",
                        modality=one,
                        items=[a.content for a, _ in pairs],
                        other=Side(
                            modality=two,
                            items=[b.content for _, b in pairs],
                            settings=second.settings,
                        ),
                        settings=first.settings,
                    )
                )
        return found

    def modalities(self) -> tuple[str, ...]:
        """Return both sides' modalities."""
        return (self.modality, self.other.modality)

    def take(self, indices: Sequence[int]) -> Any:
        """Return the same task with only some scenes."""
        return replace(super().take(indices), other=self.other.take(indices))

    def measure(self, embedder: Embedder) -> TaskResult:
        """Return R@k and median ranks of both directions, over scenes with both sides usable."""
        one = embedder.embed(self.modality, self.items, self.settings)
        two = embedder.embed(self.other.modality, self.other.items, self.other.settings)
        kept = sorted(set(one.usable) & set(two.usable))
        if not kept:
            reason = next(iter([*one.errors.values(), *two.errors.values()]), "there are none")
            raise InputError(self.name, f"no pair has two usable sides ({reason})")
        scores_NN = one.vectors_NE[kept] @ two.vectors_NE[kept].T
        return measure_searches(
            search_pairs(self.modality, self.other.modality, scores_NN),
            {**one.errors, **two.errors},
        )


def search_pairs(one: str, two: str, scores_NN: np.ndarray) -> list[Search]:
    """Return both directions of a square score matrix, whose diagonal is relevant."""
    same_NN = np.eye(len(scores_NN), dtype=bool)
    return [
        Search(f"{one} → {two}", scores_NN, same_NN),
        Search(f"{two} → {one}", scores_NN.T, same_NN),
    ]


def _match_scenes(
    some: Sequence[CollectionItem], others: Sequence[CollectionItem]
) -> list[tuple[CollectionItem, CollectionItem]]:
    """Pair the items of the same scene; the first of each side counts."""
    of_scene = {item.pair: item for item in reversed(others) if item.pair}
    firsts = {item.pair: item for item in reversed(some) if item.pair in of_scene}
    return [(item, of_scene[item.pair]) for item in some if firsts.get(item.pair) is item]
