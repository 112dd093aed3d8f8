"""Queries are drawn at random, and their neighbors are the nearest of every other modality."""

from __future__ import annotations

import numpy as np
import pytest

from openbind.evaluation.collection import CollectionItem, EmbeddedItems
from openbind.evaluation.report.neighbors import (
    NEIGHBORS,
    QUERIES,
    find_neighbors,
    match_item,
    sample_queries,
)


def gather(modality: str, items: list[CollectionItem], vectors_NE: np.ndarray) -> EmbeddedItems:
    unit_NE = vectors_NE / np.linalg.norm(vectors_NE, axis=1, keepdims=True)
    return EmbeddedItems(modality=modality, items=tuple(items), vectors_NE=unit_NE)


def test_neighbors_are_the_nearest(embedded: list[EmbeddedItems]) -> None:
    """Cosines are those of the vectors and fall; every other modality is searched."""
    trained = {("image", "text"), ("text", "image")}
    queries = sample_queries(embedded, trained, np.random.default_rng(0))
    assert len(queries) == QUERIES * len(embedded)
    of = {some.modality: some for some in embedded}
    for query in queries:
        (part,) = query.parts
        vector_E = of[part.modality].vectors_NE[of[part.modality].items.index(part.item)]
        assert [near.modality for near in query.neighbors] == [m for m in of if m != part.modality]
        for near in query.neighbors:
            cosines = sorted(of[near.modality].vectors_NE @ vector_E, reverse=True)
            found = [neighbor.cosine for neighbor in near.found]
            assert found == pytest.approx(cosines[:NEIGHBORS])
            assert near.trained == ({part.modality, near.modality} == {"image", "text"})


def test_matches() -> None:
    """The scene comes before the class; another scene of the class is of the class."""
    match = match_item(CollectionItem(title="q", label="dog", pair="1"))
    assert match(CollectionItem(title="scene", label="dog", pair="1")) == "scene"
    assert match(CollectionItem(title="class", label="dog", pair="2")) == "class"
    assert match(CollectionItem(title="neither", label="cat", pair="3")) is None
    assert match_item(CollectionItem(title="q"))(CollectionItem(title="r")) is None


def test_equal_and_skipped_items() -> None:
    """The same text in two data sets is one neighbor; skipped items are none."""
    texts = [CollectionItem(title="a dog", set=name) for name in "ab"]
    texts += [CollectionItem(title="a cat"), CollectionItem(title="a cow")]
    some = gather("text", texts, np.ones((4, 2)))
    found = find_neighbors(np.ones(2), some, 3, lambda item: None, skip=[texts[2]])
    assert [neighbor.item.title for neighbor in found] == ["a dog", "a cow"]


def test_draws_matched_items_of_different_classes() -> None:
    """One of each class that another modality has, before seconds and before unmatched items."""
    labels = ["dog", "dog", "dog", "cat", "cow", "unknown", ""]
    items = [CollectionItem(title=str(n), label=label) for n, label in enumerate(labels)]
    texts = [CollectionItem(title=label, label=label) for label in ("dog", "cat", "cow")]
    both = [gather("audio", items, np.eye(7)), gather("text", texts, np.eye(3, 7))]
    for seed in range(5):
        queries = sample_queries(both, (), np.random.default_rng(seed))
        parts = [query.parts[0] for query in queries]
        drawn = [part.item.label for part in parts if part.modality == "audio"]
        assert sorted(drawn) == ["cat", "cow", "dog"]
