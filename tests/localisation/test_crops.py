"""Windows of all sizes, their map, overlapping boxes."""

from __future__ import annotations

import numpy as np
import pytest

from openbind.localisation.crops import make_windows, overlap, spread, suppress


def test_windows() -> None:
    """30 windows in the image; those of the third level include the quarters."""
    windows = make_windows()
    assert len(windows) == 30
    assert windows[0] == (0, 0, 1, 1)
    assert (0.5, 0.5, 1.0, 1.0) in windows
    assert max(edge for window in windows for edge in window) == pytest.approx(1.0)


def test_map_of_windows() -> None:
    """Windows around a point score high: so does the map there."""
    windows = make_windows()
    scores = np.array([float(w[0] >= 0.5 and w[1] < 0.2) for w in windows])
    heat = spread(windows, scores)
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert row < len(heat) / 2 <= column
    assert heat.max() <= 1
    assert heat[-1, 0] == 0


def test_suppression() -> None:
    """The better of two that overlap stays."""
    boxes = [(0, 0, 10, 10, 0.5), (1, 1, 11, 11, 0.6), (20, 20, 30, 30, 0.1)]
    assert suppress(boxes, 5) == [boxes[1], boxes[2]]
    assert suppress(boxes, 1) == [boxes[1]]
    assert overlap(boxes[0], boxes[2]) == 0
    assert overlap(boxes[0], boxes[0]) == pytest.approx(1)
