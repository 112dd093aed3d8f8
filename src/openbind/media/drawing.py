"""Arrays → small images for people to look at; no number that a tower gets comes from here."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

FALSE_COLORS = np.array(
    [
        (0, 0, 4),
        (31, 12, 72),
        (85, 15, 109),
        (136, 34, 106),
        (186, 54, 85),
        (227, 89, 51),
        (249, 140, 10),
        (249, 201, 50),
        (252, 255, 164),
    ],
    float,
)
"""Nine even steps of matplotlib's "inferno" (CC0): dark to bright at an even rate for the eye."""
MISSING = 128
"""Gray of pixels that were not measured."""
SPREAD = (2.0, 98.0)
"""Percentiles of a map that become dark and bright: one hot pixel must not darken the rest."""
STROKES = ("#e4572e", "#2e9e6b", "#3b7dd8", "#b565c9", "#d99a00", "#159ca8")
"""Of channels; they show on white and on black."""
GROUND = "#ffffff"
FLAT = 3 / 8
"""Height of curves for their width, where there is as much."""


def draw_map(values_HW: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """Draw measurements in false colors, the higher the brighter.

    Args:
        values_HW: of any range; NaN and infinities are gray.
        size: greatest width and height; the shape is kept, nothing is enlarged.

    Returns:
        an RGB image.
    """
    values_HW = values_HW.astype(np.float64)
    good_HW = np.isfinite(values_HW)
    low, high = np.percentile(values_HW[good_HW], SPREAD) if good_HW.any() else (0.0, 1.0)
    share_HW = np.where(good_HW, values_HW, low) - low
    share_HW = share_HW / (high - low if high > low else 1.0)
    steps = np.linspace(0, 1, len(FALSE_COLORS))
    rgb = [np.interp(share_HW, steps, FALSE_COLORS[:, channel]) for channel in range(3)]
    colors_HWC = np.where(good_HW[:, :, None], np.stack(rgb, axis=2), MISSING)
    image = Image.fromarray(np.round(colors_HWC).astype(np.uint8))
    image.thumbnail(size)
    return image


def draw_series(values_TC: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """Draw channels as lines over time: the first half of them above, the others below.

    Each half has a scale of its own: an accelerometer and a gyroscope have other units.

    Args:
        values_TC: (steps, channels), at least one of each; gaps are NaN.
        size: greatest width and height; it is as wide as that, and flat.

    Returns:
        an RGB image.
    """
    width, height = size[0], min(size[1], round(size[0] * FLAT))
    image = Image.new("RGB", (width, height), GROUND)
    pen = ImageDraw.Draw(image)
    half = (values_TC.shape[1] + 1) // 2
    for first, last, top in ((0, half, 0.03), (half, values_TC.shape[1], 0.53)):
        part_TC = values_TC[:, first:last]
        if not np.isfinite(part_TC).any():
            continue
        low, high = np.nanmin(part_TC), np.nanmax(part_TC)
        down_TC = (high - part_TC) / (high - low if high > low else 1.0)
        for channel, down_T in enumerate(down_TC.T, first):
            points = _points(down_T, width, (top * height, (top + 0.44) * height))
            pen.line(points, fill=STROKES[channel % len(STROKES)], width=1)
    return image


def draw_wave(samples_T: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """Draw how loud a sound is over time.

    Args:
        samples_T: at least one.
        size: greatest width and height; it is as wide as that, and flat.

    Returns:
        an RGB image of a line for each column; the loudest fills the height, silence is a dot.
    """
    width, height = size[0], min(size[1], round(size[0] * FLAT))
    image = Image.new("RGB", (width, height), GROUND)
    pen = ImageDraw.Draw(image)
    edges = np.linspace(0, len(samples_T), min(width, len(samples_T)) + 1).astype(int)
    peaks = np.maximum.reduceat(np.abs(samples_T), edges[:-1])
    peaks = peaks / max(float(peaks.max()), 1e-9)
    middle = (height - 1) / 2
    for column in range(width):
        reach = float(peaks[column * len(peaks) // width]) * middle
        pen.line([(column, middle - reach), (column, middle + reach)], fill=STROKES[3])
    return image


def _points(down_T: np.ndarray, width: int, band: tuple[float, float]) -> list[tuple[float, float]]:
    """Return a curve at most a point for each column; gaps are excluded."""
    places = np.unique(np.linspace(0, len(down_T) - 1, min(len(down_T), width)).astype(int))
    places = places[np.isfinite(down_T[places])]
    across = places * (width - 1) / max(len(down_T) - 1, 1)
    down = band[0] + down_T[places] * (band[1] - band[0])
    return list(zip(across.tolist(), down.tolist(), strict=True))
