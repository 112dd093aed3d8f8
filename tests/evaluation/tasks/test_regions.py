"""Regions: cIoU, AUC, masks and F, on maps that are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

import openbind
from openbind.evaluation.embedder import Embedder
from openbind.evaluation.tasks.regions import (
    SIDE,
    Regions,
    area_of_success,
    boxes_to_marks,
    consensus_iou,
    mask_scores,
    success,
)


def test_measures() -> None:
    """A half that is marked, predicted rightly, wrongly, or in part."""
    marks = boxes_to_marks([(0, 0, 0.5, 1)])
    left = np.zeros((SIDE, SIDE), bool)
    left[:, : SIDE // 2] = True
    assert consensus_iou(left, marks) == 1
    assert consensus_iou(~left, marks) == 0
    assert consensus_iou(np.ones_like(left), marks) == pytest.approx(0.5)
    assert mask_scores(left, left) == pytest.approx((1, 1))
    assert mask_scores(~left, left) == (0, 0)
    iou, f = mask_scores(np.ones_like(left), left)
    assert iou == pytest.approx(0.5)
    assert f == pytest.approx(1.3 * 0.5 / (0.3 * 0.5 + 1))
    assert boxes_to_marks([(0, 0, 1, 1), (0, 0, 0.5, 0.5)], 2)[0, -1] == 0.5


def test_success() -> None:
    """At one threshold, and over all of them."""
    assert success(np.array([0.4, 0.5, 0.9])) == pytest.approx(2 / 3)
    assert area_of_success(np.ones(3)) == pytest.approx(1)
    assert area_of_success(np.zeros(3)) == pytest.approx(0.025)


@pytest.mark.parametrize(("metric", "second"), [("cIoU", "AUC"), ("mIoU", "F")])
def test_measure(tmp_path: Path, metric: str, second: str) -> None:
    """Beside another item's sound, with rejection."""
    generator = np.random.default_rng(0)
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", generator.normal(0, 0.1, 16_000), 16_000)
        pixels = generator.integers(0, 255, (64, 64, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.jpg")
    task = Regions(
        name="where",
        modality="audio",
        items=[tmp_path / "a.wav", tmp_path / "b.wav"],
        images=[tmp_path / "a.jpg", tmp_path / "b.jpg"],
        marks=[lambda: boxes_to_marks([(0, 0, 0.5, 0.5)])] * 2,
        metric=metric,  # type: ignore[arg-type]
    )
    result = task.measure(Embedder(openbind.load("tiny", weights="random")))
    assert [score.metric for score in result.scores] == [metric, second, "rejection AUC"]
    assert all(0 <= score.value <= 1 for score in result.scores)
