"""Labels are prompt ensembles; probabilities follow the scaled cosines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import openbind
from openbind.embedding.cache import VectorCache
from openbind.embedding.many import Entry, view_keys
from openbind.errors import InputError
from openbind.evaluation.embedder import Embedder
from openbind.evaluation.zero_shot import (
    class_probabilities,
    classify,
    fill_template,
    label_vectors,
)


def test_label_is_the_mean_of_its_prompts(starter: openbind.Space) -> None:
    """Embed each prompt, average, make it a unit vector again."""
    found = label_vectors(Embedder(starter), ["dog"], ["{}", "a photo of a {}"])[0]
    mean = starter.encode("text", ["dog", "a photo of a dog"]).mean(axis=0)
    np.testing.assert_allclose(found, mean / np.linalg.norm(mean), atol=2e-5)


def test_probabilities(starter: openbind.Space) -> None:
    """Rows sum to 1, and texts are nearest to themselves."""
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
    expected = class_probabilities(
        starter, "depth", vectors, label_vectors(Embedder(starter), labels)
    )
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
        label_vectors(Embedder(starter), ["dog"], [template])
    assert repr(template) in str(error.value)


def test_labels_are_cached(starter: openbind.Space, tmp_path: Path) -> None:
    """A label's vector comes from the cache the second time, for the same prompts only."""
    with VectorCache(tmp_path / "vectors.sqlite") as cache:
        cold = label_vectors(Embedder(starter, cache=cache), ["dog", "rain"], ["a {}"])
        plain = label_vectors(Embedder(starter), ["dog", "rain"], ["a {}"])
        np.testing.assert_allclose(cold, plain, atol=1e-6)
        mark_E = np.eye(1, starter.dim, dtype=np.float32)[0]
        keys = view_keys(starter.identity("text"), Entry("text", "a dog"))
        assert np.array_equal(cache.get(keys)[keys[0]], cold[0])
        cache.put({keys[0]: mark_E})
        again = label_vectors(Embedder(starter, cache=cache), ["dog"], ["a {}"])
        assert np.array_equal(again[0], mark_E)
        other = label_vectors(Embedder(starter, cache=cache), ["dog"], ["the {}"])
    assert not np.allclose(other[0], mark_E, atol=0.1)
