"""Cosines of unrelated pairs, and what they make of other cosines."""

from __future__ import annotations

import numpy as np
import pytest

from openbind.errors import UnknownNameError
from openbind.space.calibration import Unrelated, measure_unrelated
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
