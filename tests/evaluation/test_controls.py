"""Retrieval, copies and composition, with a generator that has thumbnails of two classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

import openbind
from openbind.evaluation.controls import agree, find_copies, find_generator, measure_controls
from openbind.generation.prior import ImageVectors
from openbind.generation.small import Generator, SmallDecoder
from openbind.generation.thumbnails import make_thumbnails

NAMES = ("dark", "light")


class Gray:
    """A judge of brightness."""

    names = NAMES

    def features(self, images: Sequence[Image.Image]) -> np.ndarray:
        angle = np.array([np.asarray(image, float).mean() / 255 * np.pi / 2 for image in images])
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)

    def classify(self, features_ND: np.ndarray) -> np.ndarray:
        return features_ND


def flat(level: int) -> Image.Image:
    return Image.new("RGB", (96, 96), (level, level, level))


@pytest.fixture
def space(starter: openbind.Space, monkeypatch: pytest.MonkeyPatch) -> openbind.Space:
    """A starter whose decoder says that it learned from eight images, half dark, half light."""
    decoder = SmallDecoder(starter.generator.path)  # type: ignore[union-attr]
    levels = [0, 20, 40, 60, 200, 220, 240, 255]
    own_NE = torch.from_numpy(starter.encode("image", [flat(level) for level in levels]))
    what_ND, where_ND = own_NE.split([384, 128], dim=1)
    mean_D = decoder.generator.means["image"]
    centered_ND = F.normalize(F.normalize(what_ND, dim=1) - mean_D, dim=1)
    pixels = np.stack([np.asarray(flat(level)) for level in levels])
    learned: Generator = replace(
        decoder.generator,
        images=ImageVectors(what_MD=centered_ND, where_MD=F.normalize(where_ND, dim=1)),
        thumbnails=make_thumbnails([str(level) for level in levels], pixels),
    )
    monkeypatch.setattr(decoder, "generator", learned)
    return starter.with_generator(decoder)


def test_copies_are_found(space: openbind.Space) -> None:
    """What was learned from is a copy, what is between isn't."""
    generator = find_generator(space)
    assert generator is not None
    real = [flat(level) for level in (10, 30, 50, 210, 230, 248)]
    copied = find_copies(Gray(), space, generator, [flat(0), flat(120), flat(255)], real)
    assert list(copied) == [True, False, True]


def test_labels_are_compared(space: openbind.Space) -> None:
    right = agree(Gray(), ["dark", "light", "dark"], [flat(5), flat(9), flat(40)])
    assert list(right) == [True, False, True]


def test_scores(space: openbind.Space) -> None:
    """One of each kind, with chance."""
    images = [flat(10), flat(250)]
    vectors_NE = space.encode("image", images)
    real = [(label, image) for label, image in zip(NAMES, images, strict=True)]
    drawn = [[image] for image in images]
    scores = measure_controls(Gray(), space, "image", NAMES, vectors_NE, drawn, real)
    found = {score.metric: score for score in scores}
    retrieval = found["of the nearest image learned from (retrieval)"]
    assert (retrieval.value, retrieval.chance) == (1.0, 0.5)
    assert len([name for name in found if name.startswith("composition")]) == 3
    assert found["copies of images learned from"].chance == 0.01


def test_other_decoders_have_none(starter: openbind.Space, painter: Any) -> None:
    space = starter.with_generator(painter(starter.dim))
    assert find_generator(space) is None
    vectors_NE = np.zeros((1, space.dim), np.float32)
    assert measure_controls(Gray(), space, "text", ["dark"], vectors_NE, [[flat(0)]], []) == []
