"""Heat maps: how much each cell of an image is like a query, and the boxes around what is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F

Area = tuple[float, float, float, float]
"""(left, top, right, bottom)."""
Box = tuple[float, float, float, float, float]
"""(x0, y0, x1, y1) in pixels of the image, and the score."""
WHOLE: Area = (0.0, 0.0, 1.0, 1.0)
MAP_SIDE = 96
"""Longer side of the map that boxes are measured on."""
MOST_BOXES = 5
EVEN = 1e-5
"""Range of a map that has no region."""
SMALLEST = 0.1
"""Sum of a box's heat above the threshold, at least, as a fraction of the first box's."""


@runtime_checkable
class Dense(Protocol):
    """A tower with a vector for each cell of an image."""

    def dense_size(self, size: int) -> int:
        """Return the size of images in which `cells` finds the most, given the usual one."""

    def cells(self, x: torch.Tensor, /, *, plain: bool = False) -> torch.Tensor:
        """Return cells_BHWE of images; `plain` of the unchanged tower."""


@dataclass(frozen=True, eq=False)
class Localisation:
    """Where in an image a query is.

    Args:
        heat: (h, w) float32 in [-1, 1], one number for each cell of the area.
        boxes: (x0, y0, x1, y1, score) in pixels of the upright image, strongest first; the score
            is the mean heat in the box's region.
        method: that found it.
        size: width and height of the image in pixels.
        area: part of the image that the map covers, as fractions of its size.
        measure_threshold: returns how hot the hottest cell of an unrelated image is at most; None
            if that isn't known.
    """

    heat: np.ndarray
    boxes: list[Box]
    method: str
    size: tuple[int, int]
    area: Area = WHOLE
    measure_threshold: Callable[[], float | None] = field(default=lambda: None, repr=False)

    @cached_property
    def threshold(self) -> float | None:
        """How hot the hottest cell of 95 % of unrelated images is at most; None if not known.

        It is measured when it is first read: for each space once.
        """
        return self.measure_threshold()

    @property
    def margin(self) -> float | None:
        """How much hotter than the threshold the hottest cell is; None if that isn't known."""
        return None if self.threshold is None else float(self.heat.max()) - self.threshold

    @property
    def present(self) -> bool | None:
        """Whether the map is hotter than those of unrelated images; None if that isn't known."""
        return None if self.margin is None else self.margin > 0

    @property
    def peak(self) -> tuple[int, int]:
        """The hottest point: x and y in pixels of the image."""
        row, column = np.unravel_index(int(self.heat.argmax()), self.heat.shape)
        x, y = (column + 0.5) / self.heat.shape[1], (row + 0.5) / self.heat.shape[0]
        left, top, right, bottom = self.area
        across, down = left + x * (right - left), top + y * (bottom - top)
        return tuple(
            min(max(int(share * side), 0), side - 1)
            for share, side in zip((across, down), self.size, strict=True)
        )  # type: ignore[return-value]  # two numbers

    def over_image(self, size: tuple[int, int]) -> np.ndarray:
        """Return the map over the whole image, enlarged.

        Args:
            size: width and height of the result.

        Returns:
            (height, width) float32; NaN where the map doesn't reach.
        """
        width, height = size
        left, top, right, bottom = self.area
        x_W = ((np.arange(width) + 0.5) / width - left) / (right - left)
        y_H = ((np.arange(height) + 0.5) / height - top) / (bottom - top)
        grid_HW2 = torch.from_numpy(np.stack(np.meshgrid(2 * x_W - 1, 2 * y_H - 1), axis=-1))
        heat_11HW = torch.from_numpy(self.heat)[None, None]
        found_HW = F.grid_sample(
            heat_11HW, grid_HW2[None].float(), padding_mode="border", align_corners=False
        )[0, 0].numpy()
        is_inside_HW = ((y_H >= 0) & (y_H <= 1))[:, None] & ((x_W >= 0) & (x_W <= 1))
        return np.where(is_inside_HW, found_HW, np.float32(np.nan))


def score_cells(cells_HWE: torch.Tensor, query_E: np.ndarray) -> np.ndarray:
    """Return heat_HW in [-1, 1]: the inner products of cells and a query.

    Cells of an exact map may be longer than unit vectors. Where the range would be exceeded, the
    differences from the mean are scaled, which keeps the mean.

    Args:
        cells_HWE: float; a tower of content only has fewer dimensions than the query, whose first
            ones are its.
        query_E: unit vector.
    """
    query = torch.from_numpy(np.ascontiguousarray(query_E[: cells_HWE.shape[-1]], np.float32))
    heat_HW = cells_HWE.float().cpu() @ query
    mean, far_HW = heat_HW.mean(), heat_HW - heat_HW.mean()
    room_HW = (1 - mean * far_HW.sign()) / far_HW.abs().clamp_min(1e-12)
    return np.asarray(mean + far_HW * room_HW.min().clamp(0, 1))


def find_boxes(heat: np.ndarray, size: tuple[int, int], area: Area = WHOLE) -> list[Box]:
    """Return boxes around the hot regions.

    The map is enlarged; what is above half of its highest value, and above the middle of its range,
    falls into connected regions.

    Args:
        heat: (h, w).
        size: width and height of the image.
        area: that the map covers.

    Returns:
        at most `MOST_BOXES`, by the sum of what is above the threshold; none on an even map.
    """
    rows, columns = (max(1, round(MAP_SIDE * side / max(heat.shape))) for side in heat.shape)
    large_HW = F.interpolate(
        torch.from_numpy(heat)[None, None], (rows, columns), mode="bilinear", align_corners=False
    )[0, 0]
    low, high = float(large_HW.min()), float(large_HW.max())
    if high - low < EVEN:
        return []
    threshold = max(high / 2, (low + high) / 2)
    hot_HW = large_HW > threshold
    found = []
    for region_HW in _regions(hot_HW):
        total = float((large_HW - threshold)[region_HW].sum())
        found.append((total, _box_of(region_HW, large_HW, size, area)))
    found.sort(key=lambda pair: -pair[0])
    return [box for total, box in found[:MOST_BOXES] if total >= SMALLEST * found[0][0]]


def _regions(is_hot_HW: torch.Tensor) -> list[torch.Tensor]:
    """Return a mask for each connected region, diagonal neighbors included."""
    numbers_HW = torch.arange(1.0, is_hot_HW.numel() + 1).view(is_hot_HW.shape) * is_hot_HW
    while True:
        # Each cell takes the highest number around it until a region has one.
        spread_HW = F.max_pool2d(numbers_HW[None, None], 3, 1, 1)[0, 0] * is_hot_HW
        if torch.equal(spread_HW, numbers_HW):
            break
        numbers_HW = spread_HW
    return [numbers_HW == number for number in numbers_HW.unique() if number]


def _box_of(
    region_HW: torch.Tensor, heat_HW: torch.Tensor, size: tuple[int, int], area: Area
) -> Box:
    rows, columns = region_HW.any(dim=1).nonzero()[:, 0], region_HW.any(dim=0).nonzero()[:, 0]
    down, across = heat_HW.shape
    left, top, right, bottom = area
    edges: Sequence[float] = (
        (left + (right - left) * int(columns[0]) / across) * size[0],
        (top + (bottom - top) * int(rows[0]) / down) * size[1],
        (left + (right - left) * (int(columns[-1]) + 1) / across) * size[0],
        (top + (bottom - top) * (int(rows[-1]) + 1) / down) * size[1],
    )
    limits = (*size, *size)
    x0, y0, x1, y1 = (min(max(e, 0.0), float(m)) for e, m in zip(edges, limits, strict=True))
    return x0, y0, x1, y1, float(heat_HW[region_HW].mean())
