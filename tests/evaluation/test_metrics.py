"""Metrics agree with scikit-learn and with counting by hand; chance agrees with simulation."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import top_k_accuracy_score

from openbind.evaluation.metrics import accuracy, chance_recall_at, recall_at


def test_accuracy_agrees_with_scikit_learn() -> None:
    """Top-1 of random scores."""
    random = np.random.default_rng(0)
    scores_QK, target_Q = random.normal(size=(200, 7)), random.integers(0, 7, 200)
    expected = top_k_accuracy_score(target_Q, scores_QK, k=1, labels=range(7))
    assert accuracy(scores_QK, target_Q) == pytest.approx(expected)


@pytest.mark.parametrize("k", [1, 3])
def test_recall_agrees_with_scikit_learn(k: int) -> None:
    """With one relevant item a query, recall@k is top-k accuracy."""
    random = np.random.default_rng(1)
    scores_QK, target_Q = random.normal(size=(200, 9)), random.integers(0, 9, 200)
    relevant_QK = np.arange(9) == target_Q[:, None]
    expected = top_k_accuracy_score(target_Q, scores_QK, k=k, labels=range(9))
    assert recall_at(scores_QK, relevant_QK, k) == pytest.approx(expected)


def test_recall_leaves_out_queries_without_answers() -> None:
    """A query that nothing answers doesn't count."""
    scores_QK = np.array([[0.9, 0.1], [0.2, 0.1]])
    assert recall_at(scores_QK, np.array([[True, False], [False, False]]), 1) == 1.0


@pytest.mark.parametrize("k", [1, 2, 5, 50])
def test_chance_agrees_with_simulation(k: int) -> None:
    """Recall of random scores comes near the formula."""
    random = np.random.default_rng(2)
    relevant_QK = random.random((40, 12)) < 0.2
    runs = [recall_at(random.random((40, 12)), relevant_QK, k) for _ in range(400)]
    assert chance_recall_at(relevant_QK, k) == pytest.approx(np.mean(runs), abs=0.01)
