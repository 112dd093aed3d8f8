"""Captions and items search each other; a second side is added."""

from __future__ import annotations

import numpy as np
import pytest

import openbind
from openbind.evaluation.embedder import Embedder
from openbind.evaluation.tasks.text_retrieval import Added, TextRetrieval, add_vectors


def test_captions(starter: openbind.Space) -> None:
    """Several captions per item: each is a query, and an item is found by any of them."""
    task = TextRetrieval(
        name="retrieval",
        modality="text",
        items=["a dog", "", "the rain"],
        captions=[("dog", "a dog that barks"), ("nothing",), ("rain", "it rains", "a dog")],
    )
    result = task.measure(Embedder(starter))
    forward, back = [score for score in result.scores if score.metric == "R@1"]
    assert forward.count == 5
    assert (forward.choices, back.choices) == (2, 5)
    assert result.rankings[0].group_Q is not None
    assert result.rankings[0].group_Q.tolist() == [0, 0, 1, 1, 1]
    assert result.rankings[1].group_Q is None
    assert forward.value == pytest.approx(0.8)  # "a dog" is a caption of the rain, too
    assert (back.count, back.chance) == (2, pytest.approx((2 / 5 + 3 / 5) / 2))
    assert len(result.excluded) == 1


def test_added() -> None:
    """Weighted sums of unit length; rows that the second side lacks stay."""
    one, two = np.eye(2, 4), np.array([[0, 0, 1, 0], [np.nan] * 4])
    sums_NE = add_vectors(one, two, 0.5)
    np.testing.assert_allclose(sums_NE, [[0.5**0.5, 0, 0.5**0.5, 0], [0, 1, 0, 0]], atol=1e-6)
    assert add_vectors(one, np.full((2, 4), np.nan), 0.5) is one


def test_take() -> None:
    """Captions and the added side go with the items."""
    added = Added(modality="audio", items=["x", "y"], weight=0.1)
    task = TextRetrieval(
        name="r", modality="video", items=["a", "b"], captions=[("1",), ("2",)], added=added
    )
    left = task.take([1])
    assert (left.items, left.captions, left.added.items) == (["b"], [("2",)], ["y"])
    assert task.modalities() == ("video", "audio", "text")
