"""Pictures for people: order of values is order of lightness, channels and loudness can be seen."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ImageStat

from openbind.media.drawing import GROUND, INK, draw_map, draw_series, draw_wave


def lightness(picture: object) -> np.ndarray:
    return np.asarray(picture.convert("L"), dtype=float)  # type: ignore[attr-defined]


@pytest.mark.parametrize("scale", [1.0, 1e-6, 40_000.0])
def test_maps_keep_the_order(scale: float) -> None:
    """A greater value is never darker, whatever the range; the picture fits and keeps its shape."""
    ramp_HW = np.tile(np.linspace(-3, 5, 60), (30, 1)) * scale
    picture = draw_map(ramp_HW, (40, 40))
    assert picture.size == (40, 20)
    across = lightness(picture).mean(axis=0)
    assert (np.diff(across) >= -1).all()
    assert across[-1] - across[0] > 150


def test_maps_with_gaps() -> None:
    """What is missing is dark; a map of one value or of gaps alone is drawn too."""
    map_HW = np.ones((10, 10))
    map_HW[:5] = np.nan
    map_HW[7:] = 3.0
    drawn = lightness(draw_map(map_HW, (10, 10)))
    assert drawn[0, 0] == drawn.min() < drawn[9, 9]
    for same in (np.ones((4, 4)), np.full((4, 4), np.nan)):
        assert np.ptp(lightness(draw_map(same, (4, 4)))) == 0


def test_series() -> None:
    """Each band has its own scale; every channel leaves ink of its colour."""
    steps = np.linspace(0, 6, 200)
    values_TC = np.stack([np.sin(steps + c) * (1 if c < 3 else 100) for c in range(6)], axis=1)
    pixels_HWC = np.asarray(draw_series(values_TC, (120, 80)))
    for colour in INK:
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        found_H = (pixels_HWC == rgb).all(axis=2).any(axis=1)
        assert found_H[:40].sum() > 10
        assert found_H[40:].sum() > 10
    assert draw_series(np.zeros((1, 6)), (20, 10)).size == (20, 10)


def test_waves() -> None:
    """A louder part is taller; silence is a line, and one sample is enough."""
    samples_T = np.concatenate([np.full(500, 0.1), np.full(500, -0.8)])
    ink_HW = lightness(draw_wave(samples_T, (100, 41))) < 200
    assert ink_HW[:, 10].sum() < ink_HW[:, 90].sum()
    assert ink_HW[:, 90].sum() >= 39
    silent = draw_wave(np.zeros(7), (100, 41))
    assert ImageStat.Stat(silent.convert("L")).mean[0] > 200
    assert silent.getpixel((0, 0)) == tuple(int(GROUND[i : i + 2], 16) for i in (1, 3, 5))
    assert draw_wave(np.array([0.5]), (10, 10)).size == (10, 10)
