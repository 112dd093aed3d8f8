"""Search both ways: counted by hand, and captions that find what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import openbind
from openbind.evaluation.retrieval import measure_ranks, measure_text_retrieval, search_pairs
from openbind.evaluation.tasks import PairRetrieval, Side, TextRetrieval


def test_ranks_by_hand() -> None:
    """Four queries whose answers are at 1, 2, 3 and 12 of 12."""
    scores_QK = -np.tile(np.arange(12.0), (4, 1))
    relevant_QK = np.zeros((4, 12), bool)
    relevant_QK[range(4), [0, 1, 2, 11]] = True
    found = {score.metric: score for score in measure_ranks("x → y", scores_QK, relevant_QK)}
    values = {metric: score.value for metric, score in found.items()}
    assert values == {"R@1": 0.25, "R@5": 0.75, "R@10": 0.75, "median rank": 2.5}
    assert found["R@5"].chance == pytest.approx(5 / 12)
    assert found["median rank"].chance == 6
    assert found["median rank"].interval is None


def test_captions(starter: openbind.Space) -> None:
    """Several captions an item: each is a query, and an item is found by any of them."""
    items = starter.encode("text", ["a dog", "the rain"])
    task = TextRetrieval(
        name="retrieval",
        modality="text",
        paths=[Path("1"), Path("2")],
        captions=[("dog", "a dog that barks"), ("rain", "it rains", "a dog")],
    )
    there = [s for s in measure_text_retrieval(starter, task, items) if s.metric == "R@1"]
    forward, back = there
    assert forward.count == 5
    assert forward.value == pytest.approx(0.8)  # "a dog" is said of the rain
    assert (back.count, back.chance) == (2, pytest.approx((2 / 5 + 3 / 5) / 2))


def test_pairs() -> None:
    """Both directions of the same cosines; the answer is the item at the same place."""
    other = Side(modality="b", paths=["3", "4"])
    task = PairRetrieval(name="pairs", modality="a", paths=["1", "2"], other=other)
    a_NE, b_NE = np.array([[1.0, 0], [0, 1]]), np.array([[0.6, 0.8], [0.8, 0.6]])
    (there, scores_QK, same_QK), (back, turned_QK, turned) = search_pairs(task, a_NE, b_NE)
    assert (there, back) == ("a → b", "b → a")
    assert scores_QK.tolist() == [[0.6, 0.8], [0.8, 0.6]]
    assert turned_QK.tolist() == scores_QK.T.tolist()
    assert same_QK.tolist() == turned.tolist() == [[True, False], [False, True]]
