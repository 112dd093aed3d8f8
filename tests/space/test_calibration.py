"""Cosines of unrelated pairs, and what they make of other cosines."""

from __future__ import annotations

import numpy as np
import pytest

from openbind.errors import InputError, UnknownNameError
from openbind.space.calibration import Unrelated, combine_unrelated, measure_unrelated
from openbind.space.card import Card


def test_measure() -> None:
    """Related pairs are left out; the mean is 0 and the deviation 1 after calibration."""
    draw = np.random.default_rng(0)
    rows_ND = draw.normal(size=(40, 16))
    rows_ND /= np.linalg.norm(rows_ND, axis=1, keepdims=True)
    related_NN = np.eye(40, dtype=bool)
    found = measure_unrelated(("image", "text"), rows_ND, rows_ND, related_NN)
    assert found.count == 40 * 39
    assert found.high < 1
    cosines = (rows_ND @ rows_ND.T)[~related_NN]
    z = found.calibrate(cosines)
    assert (abs(z.mean()), z.std()) == (pytest.approx(0, abs=1e-5), pytest.approx(1, abs=1e-4))
    assert (cosines < found.high).mean() == pytest.approx(0.99, abs=0.01)


def test_card() -> None:
    """The order of modalities doesn't matter; a pair that the card lacks is an error."""
    own = Unrelated(modalities=("image", "text"), mean=0.1, deviation=0.2, high=0.5, count=9)
    card = Card(unrelated=(own,))
    assert card.calibrate("text", "image", [[0.5]]) == pytest.approx(np.array([[2.0]]))
    with pytest.raises(UnknownNameError, match="image–text"):
        card.calibrate("audio", "image", 0.5)


def test_threshold() -> None:
    """99 % of unrelated pairs are below; of many items one of all is expected above."""
    own = Unrelated(modalities=("image", "text"), mean=0.1, deviation=0.2, high=0.7, count=9)
    assert own.threshold() == own.threshold(100) == pytest.approx(3.0)
    assert own.threshold(100) < own.threshold(1000) < own.threshold(100_000) < 7


def test_sums() -> None:
    """What is expected of a sum of queries is what random items give."""
    draw = np.random.default_rng(0)
    items_KE = draw.normal(size=(40_000, 32)) * np.r_[np.full(16, 1.5), np.full(16, 0.5)]
    items_KE = items_KE / np.linalg.norm(items_KE, axis=1, keepdims=True)
    queries_QE = draw.normal(size=(2, 32))
    queries_QE[1] += queries_QE[0]  # alike, so that their cosines vary together
    queries_QE /= np.linalg.norm(queries_QE, axis=1, keepdims=True)
    none = np.zeros((1, len(items_KE)), bool)
    own = [measure_unrelated(("text", "image"), q[None], items_KE, none) for q in queries_QE]
    weights = [1.0, -0.5]
    total_E = weights[0] * queries_QE[0] + weights[1] * queries_QE[1]
    total_E /= np.linalg.norm(total_E)
    expected = measure_unrelated(("text", "image"), total_E[None], items_KE, none)
    found = combine_unrelated(list(zip(queries_QE, weights, own, strict=True)))
    assert found.mean == pytest.approx(expected.mean, abs=0.005)
    assert found.deviation == pytest.approx(expected.deviation, rel=0.15)
    assert found.high == pytest.approx(expected.high, rel=0.2)
    assert combine_unrelated([(queries_QE[0], 2.0, own[0])]) == own[0]
    with pytest.raises(InputError):
        combine_unrelated([(queries_QE[0], 1.0, own[0]), (queries_QE[0], -1.0, own[0])])


def test_nothing_unrelated() -> None:
    """All pairs related is an error that names the pair."""
    with pytest.raises(InputError, match="text–image"):
        measure_unrelated(("text", "image"), np.eye(2), np.eye(2), np.ones((2, 2), bool))
