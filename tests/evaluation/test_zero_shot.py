"""Labels are prompt ensembles; probabilities follow the scaled cosines."""

from __future__ import annotations

import numpy as np

import openbind
from openbind.evaluation.zero_shot import classify, label_vectors


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
