"""Labels are prompt ensembles; probabilities follow the scaled cosines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix as sklearn_confusion_matrix
from sklearn.metrics import top_k_accuracy_score

import openbind
from openbind.embedding.cache import VectorCache
from openbind.embedding.items import Ensemble
from openbind.embedding.many import Entry, view_keys
from openbind.errors import InputError
from openbind.evaluation.tasks import Classification
from openbind.evaluation.zero_shot import (
    class_probabilities,
    class_scores,
    classify,
    confusion_matrix,
    fill_template,
    label_vectors,
    measure_classification,
    rank_classes,
    score_classification,
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


def test_maps_as_wide_as_the_space_are_items(starter: openbind.Space) -> None:
    """A 512 × 512 depth map is one item with one row, not 512 vectors of the space."""
    random = np.random.default_rng(0)
    map_HW = random.uniform(1, 5, (starter.dim, starter.dim)).astype(np.float32)
    labels = ["a kitchen", "an office"]
    found = classify(starter, "depth", [map_HW], labels)
    assert found.shape == (1, 2)
    vectors = starter.encode("depth", [map_HW])
    expected = class_probabilities(starter, "depth", vectors, label_vectors(starter, labels))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.array_equal(classify(starter, "depth", map_HW, labels), found)


def test_templates() -> None:
    """The label is inserted once and unchanged, braces included."""
    assert fill_template("a photo of a {}.", "{0} {x}") == "a photo of a {0} {x}."


@pytest.mark.parametrize(
    "template", ["", "a dog", "{} {}", "a {} in {place}", "{{}}", "{}{", "{0}"]
)
def test_malformed_templates(starter: openbind.Space, template: str) -> None:
    """Anything but one pair of empty braces is refused and named."""
    with pytest.raises(InputError, match="template") as error:
        label_vectors(starter, ["dog"], [template])
    assert repr(template) in str(error.value)


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


def test_counts_agree_with_scikit_learn() -> None:
    """Confusions, ranks and accuracies of random scores, with equal ones among them."""
    random = np.random.default_rng(0)
    scores_QK = random.normal(size=(200, 7)).round(3)
    target_Q = random.integers(0, 7, 200)
    task = make_task(
        paths=[Path(str(row)) for row in range(200)],
        targets=[(int(target),) for target in target_Q],
        classes=[(f"{index}", "also") for index in range(7)],
    )
    found = confusion_matrix(task, scores_QK)
    assert found.classes == tuple("0123456")
    expected = sklearn_confusion_matrix(target_Q, scores_QK.argmax(axis=1), labels=range(7))
    assert np.array_equal(found.counts_CC, expected)
    rank_Q = rank_classes(task, scores_QK).rank_Q
    first, fifth = score_classification(task, scores_QK)
    for score, depth in ((first, 1), (fifth, 5)):
        share = top_k_accuracy_score(target_Q, scores_QK, k=depth, labels=range(7))
        assert score.value == pytest.approx(share)
        assert (rank_Q <= depth).mean() == pytest.approx(share)


def test_labels_are_kept(starter: openbind.Space, tmp_path: Path) -> None:
    """A label's vector comes from the cache the second time, for the same prompts only."""
    mark_E = np.eye(1, starter.dim, dtype=np.float32)[0]
    with VectorCache(tmp_path / "vectors.sqlite") as cache:
        cold = label_vectors(starter, ["dog", "rain"], ["a {}"], cache)
        np.testing.assert_allclose(cold, label_vectors(starter, ["dog", "rain"], ["a {}"]))
        (key,) = view_keys(starter.identity("text"), Entry("text", Ensemble(("a dog",))))
        assert np.array_equal(cache.get([key])[key], cold[0])
        cache.put({key: mark_E})
        assert np.array_equal(label_vectors(starter, ["dog"], ["a {}"], cache)[0], mark_E)
        other = label_vectors(starter, ["dog"], ["the {}"], cache)[0]
    assert not np.allclose(other, mark_E, atol=0.1)
