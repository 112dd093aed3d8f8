"""Labels are prompt ensembles; probabilities follow the scaled cosines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import openbind
from openbind.evaluation.tasks import Classification
from openbind.evaluation.zero_shot import (
    class_scores,
    classify,
    label_vectors,
    measure_classification,
)


def test_label_is_the_mean_of_its_prompts(starter: openbind.Space) -> None:
    """Embed each prompt, average, make it a unit vector again."""
    found = label_vectors(starter, ["dog"], ["{}", "a photo of a {}"])[0]
    mean = starter.encode("text", ["dog", "a photo of a dog"]).mean(axis=0)
    np.testing.assert_allclose(found, mean / np.linalg.norm(mean), atol=2e-5)


def test_probabilities(starter: openbind.Space) -> None:
    """Rows sum to 1, and words are nearest to themselves."""
    labels = ["a dog", "heavy rain", "a church bell"]
    chances = classify(starter, "text", labels, labels)
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-5)
    assert chances.argmax(axis=1).tolist() == [0, 1, 2]


def test_best_name_counts(starter: openbind.Space) -> None:
    """A class of several names has the score of the best of them (paper, appendix A)."""
    queries = starter.encode("text", ["a cat", "a dog", "a church bell"])
    grouped = class_scores(starter, queries, [("dog", "church bell"), ("cat",)], ["{}"])
    single = class_scores(starter, queries, [("dog",), ("church bell",), ("cat",)], ["{}"])
    expected = np.stack([single[:, :2].max(axis=1), single[:, 2]], axis=1)
    np.testing.assert_allclose(grouped, expected, atol=1e-6)


def make_task(**changes: Any) -> Classification:
    values: dict[str, Any] = {
        "name": "zero-shot",
        "modality": "text",
        "paths": [Path(str(index)) for index in range(4)],
        "targets": [(0,), (1,), (1,), (0,)],
        "classes": [("dog",), ("rain",)],
        "templates": ["{}"],
    }
    return Classification(**{**values, **changes})


def test_folds_weigh_the_same(starter: openbind.Space) -> None:
    """The mean of the folds' accuracies: three right in one of three, none in one of one."""
    vectors = starter.encode("text", ["dog", "rain", "rain", "rain"])
    (score,) = measure_classification(starter, make_task(groups=[1, 1, 1, 2]), vectors)
    assert (score.metric, score.value, score.chance) == ("accuracy", 0.5, 0.5)
    assert score.count == 4
    (whole,) = measure_classification(starter, make_task(), vectors)
    assert whole.value == 0.75
    assert whole.interval is not None
    assert whole.interval[0] < 0.75 < whole.interval[1]


def test_several_labels(starter: openbind.Space) -> None:
    """mAP: a perfect order is 1; chance is the classes' mean frequency."""
    vectors = starter.encode("text", ["dog", "rain", "a dog in the rain", "rain"])
    targets = [(0,), (1,), (0, 1), (1,)]
    task = make_task(targets=targets, metric="mAP")
    (score,) = measure_classification(starter, task, vectors)
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
        paths=[Path(name) for name in names],
    )
    first, fifth = measure_classification(starter, task, vectors)
    assert first.value == fifth.value == 1
    assert fifth.chance == pytest.approx(5 / 7)
