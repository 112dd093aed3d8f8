"""Drawing: what a judge sees in images drawn from items, beside ceiling and floor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

import openbind
from openbind.evaluation.embedder import Embedder
from openbind.evaluation.tasks.drawing import Drawing, judge_drawn, take_turns

NAMES = ("black", "gray", "white")


class Gray:
    """A judge that knows three shades."""

    names = NAMES

    def features(self, images: Sequence[Image.Image]) -> np.ndarray:
        angle = np.array([np.asarray(image).mean() / 255 * np.pi / 2 for image in images])
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)

    def classify(self, features_ND: np.ndarray) -> np.ndarray:
        angle = np.arange(3) * np.pi / 4
        return np.asarray(features_ND @ np.stack([np.cos(angle), np.sin(angle)]))


def shade(level: int) -> Image.Image:
    return Image.new("RGB", (8, 8), (level, level, level))


def values(labels: Sequence[str], drawn: Sequence[Sequence[Image.Image]]) -> dict[str, float]:
    real = [(name, shade(level)) for name, level in zip(NAMES, (0, 128, 255), strict=True)]
    return {s.metric: s.value for s in judge_drawn(Gray(), "audio", labels, drawn, real)}


def test_right_images_agree_and_shuffled_ones_do_not() -> None:
    found = values(NAMES, [[shade(5), shade(9)], [shade(120), shade(130)], [shade(250)] * 2])
    assert found["class agreement"] == 1
    assert found["of real images (ceiling)"] == 1
    assert found["of shuffled items (floor)"] == 0
    assert found["nearest real image of the class"] == 1


def test_wrong_images_do_not_agree() -> None:
    found = values(NAMES, [[shade(255)], [shade(0)], [shade(128)]])
    assert found["class agreement"] == 0
    assert "diversity" not in found


def test_classes_take_turns() -> None:
    assert take_turns([1, 2, 3, 4, 5], ["a", "a", "b", "a", "b"]) == [1, 3, 2, 5, 4]


def test_a_space_without_decoder_has_no_scores_and_one_with_it_draws(
    starter: openbind.Space, painter: type
) -> None:
    task = Drawing(
        name="drawing from text",
        modality="text",
        items=["black", "white"],
        labels=["black", "white"],
        real=[("black", shade(0)), ("white", shade(255))],
        judge=Gray(),
    )
    plain = starter.with_generator(None)  # type: ignore[arg-type]
    assert not task.measure(Embedder(plain)).scores
    result = task.measure(Embedder(starter.with_generator(painter(starter.dim))))
    assert {score.task for score in result.scores} == {"drawing from text"}
    assert [one.label for one in result.drawn] == ["black", "white"]
    assert all(len(one.images) == 2 for one in result.drawn)
