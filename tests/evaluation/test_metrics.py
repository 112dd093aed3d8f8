"""Metrics agree with scikit-learn and with counting by hand; chance agrees with simulation."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, top_k_accuracy_score

from openbind.evaluation.metrics import (
    accuracy,
    accuracy_at,
    average_precisions,
    bootstrap_interval,
    chance_median_rank,
    chance_recall_at,
    effective_count,
    fraction_interval,
    number_groups,
    ranks,
    recall_at,
)


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


def test_accuracy_at_agrees_with_scikit_learn() -> None:
    """Top-3 of random scores."""
    random = np.random.default_rng(3)
    scores_QK, target_Q = random.normal(size=(200, 7)), random.integers(0, 7, 200)
    expected = top_k_accuracy_score(target_Q, scores_QK, k=3, labels=range(7))
    assert accuracy_at(scores_QK, target_Q, 3) == pytest.approx(expected)


def test_average_precision_agrees_with_scikit_learn() -> None:
    """Several classes an item, equal scores, and a class that nothing is of."""
    random = np.random.default_rng(4)
    scores_QK = random.normal(size=(300, 6)).round(1)
    relevant_QK = random.random((300, 6)) < 0.2
    relevant_QK[:, 3] = False
    found = average_precisions(scores_QK, relevant_QK)
    used = [0, 1, 2, 4, 5]
    expected = [average_precision_score(relevant_QK[:, k], scores_QK[:, k]) for k in used]
    assert found == pytest.approx(np.array(expected))


def test_ranks() -> None:
    """The best answer's place, from 1; queries without answers are excluded."""
    scores_QK = np.array([[0.1, 0.9, 0.5], [0.3, 0.2, 0.1], [0.0, 0.0, 0.0]])
    relevant_QK = np.array([[True, False, True], [False, False, True], [False, False, False]])
    assert ranks(scores_QK, relevant_QK).tolist() == [2, 3]


def test_fraction_interval() -> None:
    """Wilson's interval of 8 of 10 and of none, as tables have it; it covers what it should."""
    assert fraction_interval(0.8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-3)
    assert fraction_interval(0.0, 20) == pytest.approx((0.0, 0.1611), abs=1e-3)
    random = np.random.default_rng(5)
    found = [fraction_interval(share, 50) for share in random.binomial(50, 0.3, 2000) / 50]
    assert np.mean([low <= 0.3 <= high for low, high in found]) == pytest.approx(0.95, abs=0.02)


def test_groups() -> None:
    """Equal keys have equal numbers; where none are equal there are no groups."""
    found = number_groups(["b", "a", "b"])
    assert found is not None
    assert found.tolist() == [1, 0, 1]
    assert number_groups(["b", "a"]) is None


def test_trials_of_one_recording() -> None:
    """Copies of a trial are worth one; unrelated ones count; equal ones are as many as groups."""
    right_Q = np.arange(40) % 4 > 0
    group_Q = np.repeat(np.arange(40), 5)
    assert effective_count(right_Q, None) == 40
    assert effective_count(np.repeat(right_Q, 5), group_Q) == 40
    assert effective_count(np.tile(right_Q, 5), group_Q) > 150
    assert effective_count(np.ones(200, bool), group_Q) == 40
    assert effective_count(np.ones(5, bool), np.zeros(5)) == 1


def test_intervals_of_related_trials() -> None:
    """Five captions a recording, alike in half of it: 95 of 100 intervals hold the true share."""
    random = np.random.default_rng(6)
    group_Q = np.repeat(np.arange(60), 5)
    inside = {"groups": 0, "alone": 0}
    for _ in range(400):
        shared_Q, alike_Q = random.random(60)[group_Q], random.random(300) < 0.5
        right_Q = np.where(alike_Q, shared_Q, random.random(300)) < 0.3
        for name, groups in (("groups", group_Q), ("alone", None)):
            low, high = fraction_interval(right_Q.mean(), effective_count(right_Q, groups))
            inside[name] += low <= 0.3 <= high
    assert inside["groups"] / 400 == pytest.approx(0.95, abs=0.03)
    assert inside["alone"] / 400 < 0.9


def test_groups_are_drawn_whole() -> None:
    """Drawing recordings again gives the interval of their means, whatever the order of rows."""
    values_N = np.random.default_rng(7).normal(size=30)
    order = np.random.default_rng(8).permutation(120)
    rows_N, group_N = np.repeat(values_N, 4)[order], np.repeat(np.arange(30), 4)[order]
    expected = bootstrap_interval(30, lambda rows: float(values_N[rows].mean()))
    found = bootstrap_interval(120, lambda rows: float(rows_N[rows].mean()), group_N=group_N)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(("items", "answers"), [(12, 1), (40, 3), (25, 5)])
def test_chance_of_the_median_rank(items: int, answers: int) -> None:
    """It is the median over random orders, to within a rank."""
    relevant_QK = np.zeros((4000, items), bool)
    relevant_QK[:, :answers] = True
    scores_QK = np.random.default_rng(0).random((4000, items))
    found = float(np.median(ranks(scores_QK, relevant_QK)))
    assert abs(chance_median_rank([relevant_QK]) - found) <= 1
