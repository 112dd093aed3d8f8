"""Curves become a image that shows each number of the log."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from openbind.training.plots import draw_curves


def read_gray(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("L"))


def test_draw(tmp_path: Path) -> None:
    """A PNG with ink in it, another one for other numbers."""
    lines = [
        {"step": 1, "pair": "a-b", "loss": 3.0, "lr": 0.1},
        {"step": 2, "pair": "a-b", "loss": 1.0, "lr": 0.2},
        {"step": 2, "validation": {"a-b": {"b→a R@1": 0.5, "b→a R@5": 0.9}}},
    ]
    draw_curves(lines, tmp_path / "curves.png")
    image = read_gray(tmp_path / "curves.png")
    assert image.shape[1] > 1000
    assert (image < 128).mean() > 0.001
    draw_curves(lines[:2], tmp_path / "other.png")
    assert not np.array_equal(image, read_gray(tmp_path / "other.png"))


def test_empty(tmp_path: Path) -> None:
    """A run without a logged step has empty axes."""
    draw_curves([], tmp_path / "curves.png")
    assert read_gray(tmp_path / "curves.png").shape[1] > 1000
