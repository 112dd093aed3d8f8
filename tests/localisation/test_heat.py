"""Heat maps: bounded without changing the mean, boxes, points over the image."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from openbind.localisation.heat import Localisation, find_boxes, score_cells


def two_spots() -> np.ndarray:
    """A map of 8 x 8 cells with a hot square at the top left, and a less hot one at the bottom."""
    heat = np.zeros((8, 8), np.float32)
    heat[1:3, 1:4] = 0.8
    heat[6:8, 5:8] = 0.6
    return heat


def test_boxes_surround_the_spots() -> None:
    """In pixels of the image, the stronger first; scores are between the threshold and the top."""
    boxes = find_boxes(two_spots(), (800, 400))
    assert len(boxes) == 2
    for box, expected in zip(boxes, [(100, 50, 400, 150), (500, 300, 800, 400)], strict=True):
        assert box[:4] == pytest.approx(expected, abs=35)
        assert 0.4 < box[4] <= 0.8


def test_boxes_of_a_part() -> None:
    """A map of the square in the middle; boxes stay in the image."""
    boxes = find_boxes(two_spots(), (800, 400), (0.25, 0.0, 0.75, 1.0))
    assert boxes[0][:4] == pytest.approx((250, 50, 400, 150), abs=20)
    padded = find_boxes(two_spots(), (800, 400), (0.0, -0.5, 1.0, 1.5))
    assert min(box[1] for box in padded) >= 0
    assert max(box[3] for box in padded) <= 400


@pytest.mark.parametrize("value", [0.0, 0.3, -0.2])
def test_even_maps_have_no_box(value: float) -> None:
    """Nothing is hotter than the rest."""
    assert find_boxes(np.full((5, 5), value, np.float32), (50, 50)) == []


def test_scores_keep_the_mean() -> None:
    """Cells longer than unit vectors stay in [-1, 1], and their mean is the cosine."""
    generator = torch.Generator().manual_seed(0)
    cells_HWE = torch.randn(9, 9, 16, generator=generator)
    query = torch.randn(20, generator=generator)
    query = (query / query.norm()).numpy()
    heat = score_cells(cells_HWE, query)
    assert np.abs(heat).max() == pytest.approx(1.0, abs=1e-5)
    assert heat.mean() == pytest.approx(cells_HWE.mean((0, 1)).numpy() @ query[:16], abs=1e-5)


def test_peak_and_enlarged_map() -> None:
    """The hottest point and the map over the image agree; outside of the map there is nothing."""
    area = (0.25, 0.0, 0.75, 1.0)
    found = Localisation(two_spots(), [], "auto", (800, 400), area)
    x, y = found.peak
    assert 250 <= x < 400
    assert 50 <= y < 150
    large = found.over_image((400, 200))
    assert large.shape == (200, 400)
    assert np.isnan(large[:, :99]).all()
    assert np.isfinite(large[:, 101:299]).all()
    assert large[y // 2, x // 2] == pytest.approx(0.8, abs=0.1)
