"""Masks have the right number, size, position and fill."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from openbind.data.augment.grids import Erase, FrequencyMask, TimeMask

ONES_CHW = torch.ones(3, 60, 80)
MEL_CFT = torch.ones(1, 128, 204)


def holes(operation: Any, clip: torch.Tensor, count: int) -> list[torch.Tensor]:
    found = (operation(clip, np.random.default_rng(seed)) for seed in range(count))
    return [clip_CHW != clip for clip_CHW in found]


def test_erasing_happens_as_often_as_asked() -> None:
    """By default a quarter of 400 draws is erased, none at 0; others are unchanged."""
    hit = [bool(hole.any()) for hole in holes(Erase(), ONES_CHW, 400)]
    assert np.mean(hit) == pytest.approx(0.25, abs=0.06)
    assert Erase(probability=0.0)(ONES_CHW, np.random.default_rng(0)) is ONES_CHW


def test_a_blot_is_one_rectangle_in_range() -> None:
    """Rectangles span all channels; area and ratio are in range up to rounding."""
    areas, ratios = [], []
    for hole_CHW in holes(Erase(probability=1.0), ONES_CHW, 300):
        assert torch.equal(hole_CHW[0], hole_CHW[1])
        rows, columns = (int(hole_CHW[0].any(dim=axis).sum()) for axis in (1, 0))
        assert hole_CHW[0].sum() == rows * columns
        areas.append(rows * columns / (60 * 80))
        ratios.append(rows / columns)
    assert 0.015 < min(areas) < 0.06
    assert 0.27 < max(areas) < 0.35
    assert 0.25 < min(ratios) < 0.5
    assert 2.0 < max(ratios) < 4.0


def test_blots_lie_everywhere() -> None:
    """Every row and column is erased sometimes, the center most often."""
    often_HW = sum(hole[0].float() for hole in holes(Erase(probability=1.0), ONES_CHW, 600))
    assert isinstance(often_HW, torch.Tensor)
    assert often_HW.amax(dim=0).min() > 0
    assert often_HW.amax(dim=1).min() > 0
    assert often_HW[30, 40] > often_HW[0, 0]


def test_fill() -> None:
    """A value, or noise that has a std of 1 and differs from channel to channel."""
    rng = np.random.default_rng(0)
    plain = Erase(probability=1.0, area=(0.3, 0.3), fill=-2.0)
    assert set(plain(ONES_CHW, rng).unique().tolist()) == {-2.0, 1.0}
    noisy_CHW = replace(plain, fill="noise")(ONES_CHW, rng)
    noise = noisy_CHW[noisy_CHW != 1]
    assert float(noise.mean()) == pytest.approx(0, abs=0.1)
    assert float(noise.std()) == pytest.approx(1, abs=0.1)
    assert not torch.equal(noisy_CHW[0], noisy_CHW[1])


def test_what_does_not_fit_is_not_erased() -> None:
    """An area as large as the image, and an image of one pixel, are handled."""
    rng = np.random.default_rng(0)
    assert Erase(probability=1.0, area=(1.0, 1.0))(ONES_CHW, rng) is ONES_CHW
    assert (Erase(probability=1.0)(torch.ones(1, 1, 1), rng) == 1).all()


@pytest.mark.parametrize(
    ("operation", "axis", "width"),
    [(FrequencyMask(), 1, 12), (FrequencyMask(width=3), 1, 3), (TimeMask(width=40), 2, 40)],
)
def test_masks_are_bands(operation: FrequencyMask | TimeMask, axis: int, width: int) -> None:
    """Neighboring bins or frames are 0; widths are uniform up to the maximum."""
    widths, starts = [], []
    for hole_CFT in holes(operation, MEL_CFT, 400):
        lines = hole_CFT[0].any(dim=2 - axis)
        assert torch.equal(lines, hole_CFT[0].all(dim=2 - axis))
        where = lines.nonzero().flatten().tolist()
        widths.append(len(where))
        if where:
            assert where == list(range(where[0], where[-1] + 1))
            starts.append(where[0] / (len(lines) - len(where)))
    assert (min(widths), max(widths)) == (0, width)
    assert np.mean(widths) == pytest.approx(width / 2, rel=0.12)
    assert min(starts) < 0.05
    assert max(starts) > 0.95
    assert np.mean(starts) == pytest.approx(0.5, abs=0.06)


def test_a_mask_wider_than_the_clip() -> None:
    """A mask may cover all of a short clip."""
    for hole_CFT in holes(TimeMask(width=500), torch.ones(1, 8, 5), 50):
        assert hole_CFT.shape == (1, 8, 5)
