"""Compute what the demo shows: nearest items across modalities, sums, classification, heat maps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from openbind.demo.samples import Arithmetic, Retrieval, SampleItem, Script
from openbind.evaluation.metrics import accuracy, chance_recall_at, recall_at
from openbind.evaluation.zero_shot import label_vectors
from openbind.modalities import TEXT
from openbind.search.query import nearest
from openbind.space.card import Card
from openbind.space.space import Space
from openbind.space.vectors import combine, unit_rows

BEST = 5
"""Matches shown for a query."""


@dataclass(frozen=True)
class Answer:
    """A query, the best items with their cosines, and whether one of them was expected."""

    title: str
    asked: tuple[tuple[SampleItem | str, float], ...]
    best: tuple[tuple[SampleItem, float], ...]
    found: bool


@dataclass(frozen=True)
class Direction:
    """Answers from one modality to another, with recall over all of the collection's items."""

    source: str
    target: str
    trained: bool
    answers: tuple[Answer, ...]
    recall: float
    chance: float
    queries: int


@dataclass(frozen=True)
class Classification:
    """Zero-shot accuracy, the level of chance, and which items were called what."""

    modality: str
    trained: bool
    accuracy: float
    chance: float
    labels: tuple[str, ...]
    rows: tuple[tuple[SampleItem, str, float], ...]


@dataclass(frozen=True)
class HeatMap:
    """Mean cosines between the concepts of two modalities, both in one order."""

    rows: str
    columns: str
    concepts: tuple[str, ...]
    cosines: np.ndarray


@dataclass(frozen=True)
class Showcase:
    """Everything that the demo prints and its page draws."""

    space: str
    card: Card
    counts: dict[str, int]
    directions: tuple[Direction, ...]
    sums: tuple[Answer, ...]
    classifications: tuple[Classification, ...]
    heat_maps: tuple[HeatMap, ...]
    items: tuple[SampleItem, ...]


class Collection:
    """The embedded samples of each modality."""

    def __init__(self, space: Space, items: Sequence[SampleItem], folder: Path) -> None:
        self.space = space
        self.items: dict[str, list[SampleItem]] = {}
        for item in items:
            self.items.setdefault(item.modality, []).append(item)
        self.vectors = {
            modality: self._embed(modality, some, folder) for modality, some in self.items.items()
        }

    def _embed(self, modality: str, items: Sequence[SampleItem], folder: Path) -> np.ndarray:
        settings = json.loads(items[0].settings or "{}")
        space = self.space.with_settings(modality, **settings) if settings else self.space
        vectors_KE: np.ndarray = space.encode(
            modality, [item.content(folder) for item in items], progress=True
        )
        return vectors_KE

    def find(self, modality: str, key: str) -> tuple[SampleItem | str, np.ndarray]:
        """Return a sample and its vector by its key; a key that no sample has is taken as words."""
        for item, vector in zip(self.items[modality], self.vectors[modality], strict=True):
            if item.key == key:
                return item, vector
        return key, self.space.encode(modality, [key])[0]

    def best(self, modality: str, query_E: np.ndarray) -> tuple[tuple[SampleItem, float], ...]:
        """Return the nearest samples of a modality."""
        ranked = nearest(query_E, self.vectors[modality], BEST)
        return tuple((self.items[modality][row], score) for row, score in ranked)


def build_showcase(
    space: Space, items: Sequence[SampleItem], script: Script, folder: Path
) -> Showcase:
    """Embed the items and answer the script's queries.

    Args:
        space: what it has no modality for is excluded.
        items: samples and others; what a script asks of a modality without items is excluded. All
            items of a modality need the same settings.
        script: what to show.
        folder: where the files are.
    """
    items = [item for item in items if item.modality in space.modalities]
    script = script.among({item.modality for item in items})
    collection = Collection(space, items, folder)
    return Showcase(
        space=space.name,
        card=space.card,
        counts={modality: len(some) for modality, some in collection.items.items()},
        directions=tuple(_direction(collection, part) for part in script.retrieval),
        sums=tuple(_sum(collection, part) for part in script.arithmetic),
        classifications=tuple(
            _classify(collection, modality, script.template) for modality in script.classified
        ),
        heat_maps=tuple(_heat_map(collection, a, b) for a, b in script.heat_maps),
        items=tuple(items),
    )


def _trained(space: Space, a: str, b: str) -> bool:
    return (a, b) in space.card.trained_pairs or (b, a) in space.card.trained_pairs


def _direction(collection: Collection, part: Retrieval) -> Direction:
    answers = []
    for key in part.queries:
        asked, vector = collection.find(part.source, key)
        best = collection.best(part.target, vector)
        concept = asked if isinstance(asked, str) else asked.concept
        found = any(item.concept == concept for item, _ in best)
        answers.append(Answer(_title(asked), ((asked, 1.0),), best, found))
    sources, targets = collection.items[part.source], collection.items[part.target]
    relevant_QK = np.array([[q.concept == k.concept for k in targets] for q in sources])
    scores_QK = collection.vectors[part.source] @ collection.vectors[part.target].T
    return Direction(
        part.source,
        part.target,
        _trained(collection.space, part.source, part.target),
        tuple(answers),
        recall_at(scores_QK, relevant_QK, BEST),
        chance_recall_at(relevant_QK, BEST),
        int(relevant_QK.any(axis=1).sum()),
    )


def _title(asked: SampleItem | str) -> str:
    return asked if isinstance(asked, str) else asked.title


def _sum(collection: Collection, part: Arithmetic) -> Answer:
    found = [collection.find(modality, key) for modality, key, _ in part.parts]
    weights = [weight for *_, weight in part.parts]
    query_E = combine([(vec, weight) for (_, vec), weight in zip(found, weights, strict=True)])
    # The images that were added are no answer: they would find themselves.
    used = {item.key for item, _ in found if isinstance(item, SampleItem)}
    rows = nearest(query_E, collection.vectors[part.target], BEST + len(used))
    items = collection.items[part.target]
    best = [(items[row], score) for row, score in rows if items[row].key not in used][:BEST]
    asked = tuple((item, weight) for (item, _), weight in zip(found, weights, strict=True))
    hit = any(item.key in part.expected for item, _ in best)
    return Answer(part.title, asked, tuple(best), hit)


def _classify(collection: Collection, modality: str, template: str) -> Classification:
    items = collection.items[modality]
    labels = tuple(sorted({item.concept for item in items}))
    words_KE = label_vectors(collection.space, labels, [template])
    scores_QK = collection.vectors[modality] @ words_KE.T
    target_Q = np.array([labels.index(item.concept) for item in items])
    best_Q = scores_QK.argmax(axis=1)
    rows = [
        (item, labels[best], float(scores[best]))
        for item, best, scores in zip(items, best_Q, scores_QK, strict=True)
    ]
    return Classification(
        modality,
        _trained(collection.space, modality, TEXT),
        accuracy(scores_QK, target_Q),
        1 / len(labels),
        labels,
        tuple(rows),
    )


def _heat_map(collection: Collection, a: str, b: str) -> HeatMap:
    concepts = sorted(
        {item.concept for item in collection.items[a]}
        & {item.concept for item in collection.items[b]}
    )
    means = []
    for modality in (a, b):
        of = np.array([item.concept for item in collection.items[modality]])
        vectors = collection.vectors[modality]
        means.append(
            unit_rows(np.stack([vectors[of == concept].mean(axis=0) for concept in concepts]))
        )
    return HeatMap(a, b, tuple(concepts), means[0] @ means[1].T)
