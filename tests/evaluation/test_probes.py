"""Probes: what is drawn, what is learnt, and which items they are tested on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from openbind.evaluation.probes import (
    ProbeSettings,
    Split,
    draw_shots,
    fit_linear,
    measure_probes,
)
from openbind.space.vectors import unit_rows


def make_blobs(count: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around three directions, with their classes."""
    random = np.random.default_rng(seed)
    target_N = np.arange(count) % 3
    return unit_rows(np.eye(8)[target_N] + random.normal(0, noise, (count, 8))), target_N


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
    settings = ProbeSettings(lr=0.05, weight_decay=0.0, epochs=1500, batch_size=120)
    layer = fit_linear(vectors_NE, target_N, 3, settings, 0)
    with torch.inference_mode():
        found = layer(torch.from_numpy(vectors_NE)).softmax(dim=1).numpy()
    reference = LogisticRegression(C=np.inf, tol=1e-8, max_iter=10_000).fit(vectors_NE, target_N)
    assert found == pytest.approx(reference.predict_proba(vectors_NE), abs=5e-3)


def test_measure() -> None:
    """One score for each number of shots; more items help; wrong labels are learned as such."""
    train_ME, train_M = make_blobs(300, 0.5, seed=1)
    vectors_NE, target_N = make_blobs(300, 0.5, seed=2)
    settings = ProbeSettings()
    found = measure_probes([Split(train_ME, train_M, vectors_NE, target_N)], 3, settings)
    assert len(found) == len(settings.shots)
    assert {(score.metric, score.count) for score in found} == {("accuracy", 300)}
    assert found[-1].chance == pytest.approx(1 / 3)
    assert 0.4 < found[0].value < found[-1].value
    wrong = Split(train_ME, (train_M + 1) % 3, vectors_NE, target_N)
    assert measure_probes([wrong], 3, settings)[-1].value < 0.1
