"""Drawings: greater values are brighter, channels and loudness are visible."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from openbind.media.drawing import (
    BACKGROUND,
    DEPTH_COLORS,
    FALSE_COLORS,
    MISSING,
    STROKES,
    draw_map,
    draw_series,
    draw_wave,
)


def color(code: str) -> tuple[int, ...]:
    return tuple(int(code[i : i + 2], 16) for i in (1, 3, 5))


def ink(image: Image.Image) -> np.ndarray:
    """Mask of pixels that aren't background."""
    drawn_HW: np.ndarray = (np.asarray(image) != color(BACKGROUND)).any(axis=2)
    return drawn_HW


@pytest.mark.parametrize("scale", [1.0, 1e-6, 40_000.0])
def test_maps_in_false_colors(scale: float) -> None:
    """The lowest is dark, the highest bright, missing ones gray, whatever the range."""
    map_HW = np.linspace(-1, 1, 10_000).reshape(100, 100) * scale
    map_HW[50, 50] = np.nan
    pixels_HWC = np.asarray(draw_map(map_HW, (100, 100)))
    assert pixels_HWC[0, 0].tolist() == FALSE_COLORS[0].tolist()
    assert pixels_HWC[-1, -1].tolist() == FALSE_COLORS[-1].tolist()
    assert pixels_HWC[50, 50].tolist() == [MISSING] * 3
    assert draw_map(np.zeros((30, 60)), (40, 40)).size == (40, 20)
    distances_HWC = np.asarray(draw_map(map_HW, (100, 100), DEPTH_COLORS))
    assert distances_HWC[-1, -1].tolist() == DEPTH_COLORS[-1].tolist()


def test_maps_without_a_range() -> None:
    """A constant map is dark; a map of missing values is gray."""
    assert np.asarray(draw_map(np.full((4, 4), 7.0), (4, 4))).max() == FALSE_COLORS[0].max()
    assert (np.asarray(draw_map(np.full((4, 4), np.nan), (4, 4))) == MISSING).all()


def test_one_hot_pixel_darkens_nothing() -> None:
    """An outlier doesn't reduce the contrast of the other values."""
    map_HW = np.linspace(0, 1, 10_000).reshape(100, 100)
    usual_HWC = np.asarray(draw_map(map_HW, (100, 100)), int)
    map_HW[0, 0] = 1e6
    found_HWC = np.asarray(draw_map(map_HW, (100, 100)), int)
    assert np.abs(found_HWC[1:] - usual_HWC[1:]).max() <= 2


def test_false_colors_brighten_evenly() -> None:
    """Luminance rises from step to step (BT.601)."""
    assert (np.diff(FALSE_COLORS @ [0.299, 0.587, 0.114]) > 10).all()


def test_series() -> None:
    """Each half of the channels has its own band and scale; every channel leaves its color."""
    steps = np.linspace(0, 6, 200)
    values_TC = np.stack([np.sin(steps + c) * (1 if c < 3 else 100) for c in range(6)], axis=1)
    image = draw_series(values_TC, (160, 160))
    assert image.size == (160, 60)
    pixels_HWC = np.asarray(image)
    for channel, stroke in enumerate(STROKES):
        found_H = (pixels_HWC == color(stroke)).all(axis=2).any(axis=1)
        band = slice(0, 30) if channel < 3 else slice(30, 60)
        assert found_H[band].sum() > 10
        assert found_H.sum() == found_H[band].sum()


def test_series_of_little() -> None:
    """Increasing values go up; missing ones are skipped; one step or a constant can be drawn."""
    rising_TC = np.array([[0.0], [np.nan], [1.0]])
    drawn_HW = ink(draw_series(rising_TC, (80, 30)))
    assert drawn_HW[:, 2].nonzero()[0].mean() > drawn_HW[:, -3].nonzero()[0].mean()
    for values_TC in (np.zeros((1, 6)), np.ones((9, 2)), np.full((5, 6), np.nan)):
        assert draw_series(values_TC, (20, 10)).size == (20, 8)


def test_waves() -> None:
    """Silence first, then a tone: low columns, then high ones; silence is a flat line."""
    samples_T = np.r_[np.zeros(500), 0.5 * np.sin(np.arange(500))]
    drawn_HW = ink(draw_wave(samples_T, (96, 96)))
    assert drawn_HW.shape == (36, 96)
    assert drawn_HW[:, 10].sum() == 1
    assert drawn_HW[:, 60:].sum(axis=0).min() > 30
    for silent_T in (np.zeros(100), np.zeros(3)):
        assert (ink(draw_wave(silent_T, (96, 96))).sum(axis=0) == 1).all()
