"""Items are called by the nearest class of words, counted as scikit-learn counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix

from openbind.evaluation.collection import EmbeddedItems, Item
from openbind.evaluation.report.namings import name_by_words, name_items


def gather(
    modality: str, labels: list[str], vectors_NE: np.ndarray, name: str = ""
) -> EmbeddedItems:
    items = tuple(Item(title=str(n), label=label, set=name) for n, label in enumerate(labels))
    unit_NE = vectors_NE / np.linalg.norm(vectors_NE, axis=1, keepdims=True)
    return EmbeddedItems(modality=modality, items=items, vectors_NE=unit_NE)


def test_agrees_with_scikit_learn() -> None:
    """Rows are true classes; classes without items, and items without a class, are excluded."""
    generator = np.random.default_rng(2)
    names = ["ant", "bee", "cow"]
    words_KE = generator.normal(size=(4, 8)).astype(np.float32)
    words = gather("text", [*names, "unseen"], words_KE)
    labels = [*(generator.choice(names) for _ in range(40)), "other", ""]
    sounds = gather("audio", labels, generator.normal(size=(42, 8)).astype(np.float32))
    naming = name_items(sounds, words, trained=False)
    assert naming is not None
    called = [names[k] for k in (sounds.vectors_NE[:40] @ words.vectors_NE[:3].T).argmax(axis=1)]
    expected = confusion_matrix(labels[:40], called, labels=names)
    assert naming.confusion.classes == tuple(names)
    assert naming.confusion.counts_CC.tolist() == expected.tolist()
    assert naming.accuracy.value == pytest.approx(accuracy_score(labels[:40], called))
    assert naming.accuracy.chance == pytest.approx(1 / 3)
    assert naming.accuracy.count == 40


def test_words_of_a_class_are_averaged() -> None:
    """Two prompts are one class: an item between them is of it, not of one that is nearer to
    neither alone.
    """
    words = gather("text", ["a", "a", "b"], np.array([[1, 0, 0], [0, 1, 0], [0.8, 0, 0.6]]))
    items = gather("audio", ["a", "b"], np.array([[1, 1, 0], [0, 0, 1.0]]))
    naming = name_items(items, words, trained=False)
    assert naming is not None
    assert naming.confusion.counts_CC.tolist() == [[1, 0], [0, 1]]


def test_each_data_set_by_its_own_words() -> None:
    """Words of one set aren't offered for another's items; a single class tells nothing apart."""
    one = gather("audio", ["a", "b", "a"], np.eye(3), name="one")
    both = replace(one, items=(*one.items[:2], replace(one.items[2], set="two")))
    words = gather("text", ["a", "b"], np.eye(2, 3), name="one")
    (naming,) = name_by_words([both, words], {("audio", "text")})
    assert (naming.modality, naming.set, naming.trained) == ("audio", "one", True)
    assert naming.accuracy.count == 2
    assert name_by_words([both], ()) == ()
    assert name_items(one.of_set("one"), gather("text", ["a"], np.eye(1, 3)), False) is None
