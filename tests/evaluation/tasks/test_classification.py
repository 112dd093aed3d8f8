"""Accuracies, mAP, confusions and ranks of zero-shot classification."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix as sklearn_confusion_matrix
from sklearn.metrics import top_k_accuracy_score

import openbind
from openbind.evaluation.embedder import Embedder
from openbind.evaluation.results import Score
from openbind.evaluation.tasks.classification import (
    Classification,
    class_scores,
    confusion_matrix,
    rank_classes,
    score_classification,
)


def measure(space: openbind.Space, task: Classification, vectors_NE: np.ndarray) -> list[Score]:
    """The scores of vectors."""
    scores_NK = class_scores(Embedder(space), vectors_NE, task.classes, task.templates)
    return score_classification(task, scores_NK)


def test_best_name_counts(starter: openbind.Space) -> None:
    """A class of several names has the score of the best of them (paper, appendix A)."""
    queries = starter.encode("text", ["a cat", "a dog", "a church bell"])
    grouped = class_scores(Embedder(starter), queries, [("dog", "church bell"), ("cat",)], ["{}"])
    single = class_scores(
        Embedder(starter), queries, [("dog",), ("church bell",), ("cat",)], ["{}"]
    )
    expected = np.stack([single[:, :2].max(axis=1), single[:, 2]], axis=1)
    np.testing.assert_allclose(grouped, expected, atol=1e-6)


def make_task(**changes: Any) -> Classification:
    values: dict[str, Any] = {
        "name": "zero-shot",
        "modality": "text",
        "items": [Path(str(index)) for index in range(4)],
        "targets": [(0,), (1,), (1,), (0,)],
        "classes": [("dog",), ("rain",)],
        "templates": ["{}"],
    }
    return Classification(**{**values, **changes})


def test_folds_weigh_the_same(starter: openbind.Space) -> None:
    """The mean of the folds' accuracies: three right in one of three, none in one of one."""
    vectors = starter.encode("text", ["dog", "rain", "rain", "rain"])
    (score,) = measure(starter, make_task(groups=[1, 1, 1, 2]), vectors)
    assert (score.metric, score.value, score.chance) == ("accuracy", 0.5, 0.5)
    assert score.count == 4
    (whole,) = measure(starter, make_task(), vectors)
    assert whole.value == 0.75
    assert whole.interval is not None
    assert whole.interval[0] < 0.75 < whole.interval[1]


def test_clips_of_one_recording() -> None:
    """Clips that were cut from one recording aren't independent: the interval is wider."""
    scores_NK = np.array([[1.0, 0.0]] * 4)
    (alone,) = score_classification(make_task(), scores_NK)
    (cut,) = score_classification(make_task(recordings=["a", "b", "b", "a"]), scores_NK)
    assert alone.interval is not None
    assert cut.interval is not None
    assert (cut.value, cut.count, cut.choices) == (alone.value, 4, 2)
    assert cut.interval[0] < alone.interval[0] < alone.interval[1] < cut.interval[1]
    (left,) = score_classification(
        make_task(recordings=list("aabc")).take([0, 2, 3]), scores_NK[1:]
    )
    assert left.count == 3


def test_several_labels(starter: openbind.Space) -> None:
    """mAP: a perfect order is 1; chance is the classes' mean frequency."""
    vectors = starter.encode("text", ["dog", "rain", "a dog in the rain", "rain"])
    targets = [(0,), (1,), (0, 1), (1,)]
    task = make_task(targets=targets, metric="mAP")
    (score,) = measure(starter, task, vectors)
    assert score.metric == "mAP"
    assert score.value == pytest.approx(1)
    assert score.chance == pytest.approx((0.5 + 0.75) / 2)


def test_top_5(starter: openbind.Space) -> None:
    """With more than five classes there is a top-5 accuracy, and it is no lower."""
    names = ["dog", "rain", "clock", "car", "guitar", "church bell", "baby"]
    vectors = starter.encode("text", names)
    task = make_task(
        classes=[(name,) for name in names],
        targets=[(index,) for index in range(7)],
        items=[Path(name) for name in names],
    )
    first, fifth = measure(starter, task, vectors)
    assert first.value == fifth.value == 1
    assert fifth.chance == pytest.approx(5 / 7)


def test_counts_agree_with_scikit_learn() -> None:
    """Confusions, ranks and accuracies of random scores, with equal ones among them."""
    random = np.random.default_rng(0)
    scores_NK = random.normal(size=(200, 7)).round(3)
    target_N = random.integers(0, 7, 200)
    task = make_task(
        items=[Path(str(row)) for row in range(200)],
        targets=[(int(target),) for target in target_N],
        classes=[(f"{index}", "also") for index in range(7)],
    )
    found = confusion_matrix(task, scores_NK)
    assert found.classes == tuple("0123456")
    expected = sklearn_confusion_matrix(target_N, scores_NK.argmax(axis=1), labels=range(7))
    assert np.array_equal(found.counts_KK, expected)
    rank_Q = rank_classes(task, scores_NK).rank_Q
    first, fifth = score_classification(task, scores_NK)
    for score, depth in ((first, 1), (fifth, 5)):
        share = top_k_accuracy_score(target_N, scores_NK, k=depth, labels=range(7))
        assert score.value == pytest.approx(share)
        assert (rank_Q <= depth).mean() == pytest.approx(share)


def test_measure(starter: openbind.Space) -> None:
    """Items that can't be used are named and not counted; all else is measured on the rest."""
    task = make_task(items=["a dog", "", "the rain", "dogs"])
    result = task.measure(Embedder(starter))
    assert [score.count for score in result.scores] == [3]
    assert len(result.excluded) == 1
    (confusion,), (ranking,) = result.confusions, result.rankings
    assert (confusion.modality, confusion.counts_KK.sum(), len(ranking.rank_Q)) == ("text", 3, 3)
    assert task.modalities() == ("text", "text")
