"""Probes: what is drawn, what is learnt, and which items they are tested on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from openbind.evaluation.probes import can_probe, draw_shots, fit_linear, measure_probes
from openbind.evaluation.tasks import Classification, Labeled, ProbeSettings
from openbind.space.vectors import unit_rows


def make_blobs(count: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around three directions, with their classes."""
    random = np.random.default_rng(seed)
    target_N = np.arange(count) % 3
    return unit_rows(np.eye(8)[target_N] + random.normal(0, noise, (count, 8))), target_N


def make_task(target_N: np.ndarray, **changes: Any) -> Classification:
    values: dict[str, Any] = {
        "name": "zero-shot",
        "modality": "audio",
        "paths": [str(place) for place in range(len(target_N))],
        "targets": [(int(target),) for target in target_N],
        "classes": [("a",), ("b",), ("c",)],
        "templates": ("{}",),
    }
    return Classification(**{**values, **changes})


def test_draw_shots() -> None:
    """So many of each class, all of a class that has fewer; another seed draws others."""
    target_N = np.array([0] * 30 + [1] * 30 + [2] * 3)
    drawn = draw_shots(target_N, 8, 0)
    assert np.bincount(target_N[drawn]).tolist() == [8, 8, 3]
    assert len(set(drawn.tolist())) == 19
    assert drawn.tolist() == draw_shots(target_N, 8, 0).tolist()
    assert set(drawn.tolist()) != set(draw_shots(target_N, 8, 1).tolist())
    assert sorted(draw_shots(target_N, None, 0).tolist()) == list(range(63))


def test_layer_agrees_with_scikit_learn() -> None:
    """Trained to the end without decay it is logistic regression."""
    vectors_NE, target_N = make_blobs(120, 0.6)
    settings = ProbeSettings(rate=0.05, weight_decay=0.0, epochs=1500, batch_size=120)
    layer = fit_linear(vectors_NE, target_N, 3, settings, 0)
    with torch.inference_mode():
        found = layer(torch.from_numpy(vectors_NE)).softmax(dim=1).numpy()
    reference = LogisticRegression(C=np.inf, tol=1e-8, max_iter=10_000).fit(vectors_NE, target_N)
    assert found == pytest.approx(reference.predict_proba(vectors_NE), abs=5e-3)


def test_groups_are_tested_by_the_others() -> None:
    """A group isn't learnt from for itself: classes that change places in it are missed."""
    vectors_NE, target_N = make_blobs(120, 0.1)
    groups_N = np.arange(120) // 60
    told_N = np.where(groups_N == 0, target_N, (target_N + 1) % 3)
    right = measure_probes(make_task(target_N, groups=groups_N.tolist()), vectors_NE)
    assert [score.task for score in right] == [
        *(f"probe, {shots} a class" for shots in (1, 2, 4, 8)),
        "probe, all",
    ]
    assert {(score.metric, score.count) for score in right} == {("accuracy", 120)}
    assert right[-1].value == 1
    assert right[-1].chance == pytest.approx(1 / 3)
    wrong = measure_probes(make_task(told_N, groups=groups_N.tolist()), vectors_NE)
    assert wrong[-1].value == 0


def test_training_part() -> None:
    """With a training part that alone is learnt from; more items help."""
    train_ME, train_M = make_blobs(300, 0.5, seed=1)
    vectors_NE, target_N = make_blobs(300, 0.5, seed=2)
    train = Labeled(paths=[str(place) for place in range(300)], targets=train_M.tolist())
    task = make_task(target_N, train=train)
    few, *_, many = measure_probes(task, vectors_NE, train_ME)
    assert 0.4 < few.value < many.value
    turned = Labeled(paths=train.paths, targets=((train_M + 1) % 3).tolist())
    assert measure_probes(make_task(target_N, train=turned), vectors_NE, train_ME)[-1].value < 0.1


def test_can_probe() -> None:
    """Only where there is something to train on, and one class an item."""
    target_N = np.array([0, 1, 2])
    assert not can_probe(make_task(target_N))
    assert not can_probe(make_task(target_N, groups=[1, 1, 1]))
    assert can_probe(make_task(target_N, groups=[1, 1, 2]))
    assert can_probe(make_task(target_N, train=Labeled(paths=["a"], targets=[0])))
    assert not can_probe(make_task(target_N, groups=[1, 1, 2], metric="mAP"))
