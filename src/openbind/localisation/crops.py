"""A pyramid of overlapping windows, each embedded as an image of its own: for any space."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from openbind.localisation.heat import Box

LEVELS = (1, 2, 3, 4)
"""Windows per side at each level; a window of level n has 2 / (n + 1) of each side."""
GRID = 20
"""Cells per side of the map: edges of all windows fall between cells, or nearly."""
OVERLAP = 0.5
"""Intersection over union above which the weaker of two boxes is dropped."""
Window = tuple[float, float, float, float]
"""(left, top, right, bottom) as fractions."""


def make_windows() -> list[Window]:
    """Return the windows of all levels, 30 of them: neighbors share half of their width."""
    found = []
    for count in LEVELS:
        side = 2 / (count + 1)
        starts = [number / (count + 1) for number in range(count)]
        found += [(x, y, x + side, y + side) for y in starts for x in starts]
    return found


def spread(windows: Sequence[Window], scores: np.ndarray) -> np.ndarray:
    """Return heat (`GRID`, `GRID`): the mean over levels of the mean of a cell's windows."""
    middles = (np.arange(GRID) + 0.5) / GRID
    levels: dict[float, list[int]] = {}
    for number, (left, _, right, _) in enumerate(windows):
        levels.setdefault(round(right - left, 6), []).append(number)
    total = np.zeros((GRID, GRID))
    for numbers in levels.values():
        covers = [_mask(windows[number], middles) for number in numbers]
        count = np.maximum(np.sum(covers, axis=0), 1)
        total += np.einsum("n,nhw->hw", scores[numbers], np.array(covers)) / count
    return (total / len(levels)).astype(np.float32)


def paint(boxes: Sequence[Box], size: tuple[int, int]) -> np.ndarray:
    """Return heat (`GRID`, `GRID`): the highest score of the boxes around a cell, else 0."""
    middles = (np.arange(GRID) + 0.5) / GRID
    heat = np.zeros((GRID, GRID), np.float32)
    for x0, y0, x1, y1, score in boxes:
        window = (x0 / size[0], y0 / size[1], x1 / size[0], y1 / size[1])
        heat = np.maximum(heat, _mask(window, middles) * np.float32(score))
    return heat.astype(np.float32)


def _mask(window: Window, middles: np.ndarray) -> np.ndarray:
    left, top, right, bottom = window
    rows, columns = (middles > top) & (middles < bottom), (middles > left) & (middles < right)
    return np.asarray(rows[:, None] & columns, np.float64)


def suppress(boxes: Sequence[Box], most: int) -> list[Box]:
    """Return the best boxes; of two that overlap the better (non-maximum suppression)."""
    kept: list[Box] = []
    for box in sorted(boxes, key=lambda box: -box[4]):
        if all(overlap(box, other) <= OVERLAP for other in kept):
            kept.append(box)
    return kept[:most]


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the intersection over union of two boxes (x0, y0, x1, y1, …)."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / max(sum(areas) - shared, 1e-12)
