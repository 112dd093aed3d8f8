"""The decoder that ships with the starter draws what it is told, soon, and the same again."""

from __future__ import annotations

import time

import numpy as np
import pytest

import openbind
from openbind.errors import InputError

NOUNS = ["a strawberry", "a clock", "a horse", "the sun"]


def test_images_show_what_they_were_drawn_from(starter: openbind.Space) -> None:
    """The space itself, which is no judge, finds the noun of most images."""
    vectors = starter.encode("text", NOUNS)
    drawn = starter.generate(vectors, modality="text", n=1, candidates=1)
    assert {images[0].size for images in drawn} == {(96, 96)}
    cosines = starter.similarity(starter.encode("image", [i[0] for i in drawn]), vectors)
    assert (cosines.argmax(1) == np.arange(len(NOUNS))).mean() >= 0.75


def test_an_image_is_the_same_in_any_batch_and_takes_seconds(starter: openbind.Space) -> None:
    vectors = starter.encode("text", NOUNS[:2])
    options = {"modality": "text", "candidates": 3, "seed": 5}
    together = starter.generate(vectors, n=2, **options)
    began = time.process_time()
    alone = starter.generate(vectors[1], n=1, **options)
    assert time.process_time() - began < 15
    np.testing.assert_array_equal(np.asarray(alone[0]), np.asarray(together[1][0]))
    assert not np.array_equal(np.asarray(together[1][0]), np.asarray(together[1][1]))


def test_candidates_come_nearer_to_what_they_were_drawn_from(starter: openbind.Space) -> None:
    """The first of four may be the nearest; of several queries not always."""
    vectors = starter.encode("text", NOUNS)
    options = {"modality": "text", "n": 1, "steps": 2, "seed": 1}
    cosines = []
    for count in (1, 4):
        drawn = starter.generate(vectors, candidates=count, **options)
        seen = starter.encode("image", [images[0] for images in drawn])
        cosines.append((seen * vectors).sum(1))
    first, best = cosines
    assert (best > first - 1e-3).all()
    assert (best - first).mean() > 0.005


def test_candidates_need_the_image_tower() -> None:
    deaf = openbind.load("starter", modalities=["text"])
    vector = deaf.encode("text", NOUNS[0])
    assert deaf.generator is not None
    assert deaf.generator.candidates > 1
    with pytest.raises(InputError) as caught:
        deaf.generate(vector, n=1)
    assert caught.value.item == "candidates"
    assert len(deaf.generate(vector, n=1, candidates=1, steps=1)) == 1


@pytest.mark.parametrize("wrong", ["another dim", "NaN"])
def test_wrong_vectors_are_refused(starter: openbind.Space, wrong: str) -> None:
    vector = starter.encode("text", "a dog")
    vector = vector[:-1] if wrong == "another dim" else np.full_like(vector, np.nan)
    with pytest.raises(InputError):
        starter.generate(vector)
    with pytest.raises(InputError):
        starter.generate(starter.encode("text", "a dog"), steps=0)
