"""Drawings of measurements for people; no input of a tower comes from here."""

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
"""Nine steps of matplotlib's colormap "inferno" (CC0), perceptually uniform from dark to bright."""
DEPTH_COLORS = np.array(
    [
        (68, 1, 84),
        (71, 44, 122),
        (59, 81, 139),
        (44, 113, 142),
        (33, 144, 141),
        (39, 173, 129),
        (92, 200, 99),
        (170, 220, 50),
        (253, 231, 37),
    ],
    float,
)
"""Nine steps of matplotlib's "viridis" (CC0), for distances, so that they don't look like heat."""
MISSING = 128
"""Gray level of missing values."""
SPREAD = (2.0, 98.0)
"""Percentiles of a map that become dark and bright, so that outliers don't darken the rest."""
STROKES = ("#e4572e", "#2e9e6b", "#3b7dd8", "#b565c9", "#d99a00", "#159ca8")
"""Colors of channels, visible on white and on black."""
BACKGROUND = "#ffffff"
DETAIL = 4
"""Values of a map for each pixel of its drawing, along both axes."""
MAX_ASPECT = 3 / 8
"""Largest height of curves, relative to their width."""


def subsample(values_HW: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Take every nth row and column of a map that is far larger than its drawing."""
    step = max(1, min(values_HW.shape) // (DETAIL * max(size)))
    return values_HW[::step, ::step]


def draw_map(
    values_HW: np.ndarray, size: tuple[int, int], colors_KC: np.ndarray = FALSE_COLORS
) -> Image.Image:
    """Draw measurements in false colors, the higher the brighter.

    Args:
        values_HW: of any range; NaN and infinite values are gray.
        size: maximum width and height; the aspect ratio is kept, and nothing is enlarged.
        colors_KC: evenly spaced RGB colors in 0..255, dark to bright.

    Returns:
        an RGB image.
    """
    values_HW = values_HW.astype(np.float64)
    is_finite_HW = np.isfinite(values_HW)
    low, high = np.percentile(values_HW[is_finite_HW], SPREAD) if is_finite_HW.any() else (0.0, 1.0)
    unit_HW = np.where(is_finite_HW, values_HW, low) - low
    unit_HW = unit_HW / (high - low if high > low else 1.0)
    steps = np.linspace(0, 1, len(colors_KC))
    rgb = [np.interp(unit_HW, steps, colors_KC[:, channel]) for channel in range(3)]
    colors_HWC = np.where(is_finite_HW[:, :, None], np.stack(rgb, axis=2), MISSING)
    image = Image.fromarray(np.round(colors_HWC).astype(np.uint8))
    image.thumbnail(size)
    return image


def draw_series(values_TC: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """Plot channels over time, the first half of them above the second.

    Each half has its own scale: accelerometers and gyroscopes have different units.

    Args:
        values_TC: (steps, channels), at least one of each; NaN where missing.
        size: width, and maximum height.

    Returns:
        an RGB image.
    """
    width, height = size[0], min(size[1], round(size[0] * MAX_ASPECT))
    image = Image.new("RGB", (width, height), BACKGROUND)
    canvas = ImageDraw.Draw(image)
    half = (values_TC.shape[1] + 1) // 2
    for first, last, top in ((0, half, 0.03), (half, values_TC.shape[1], 0.53)):
        part_TC = values_TC[:, first:last]
        if not np.isfinite(part_TC).any():
            continue
        low, high = np.nanmin(part_TC), np.nanmax(part_TC)
        down_TC = (high - part_TC) / (high - low if high > low else 1.0)
        for channel, down_T in enumerate(down_TC.T, first):
            points = _points(down_T, width, (top * height, (top + 0.44) * height))
            canvas.line(points, fill=STROKES[channel % len(STROKES)], width=1)
    return image


def draw_wave(samples_T: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """Draw the waveform of audio.

    Args:
        samples_T: at least one.
        size: width, and maximum height.

    Returns:
        an RGB image with one line per column, scaled to the largest peak.
    """
    width, height = size[0], min(size[1], round(size[0] * MAX_ASPECT))
    image = Image.new("RGB", (width, height), BACKGROUND)
    canvas = ImageDraw.Draw(image)
    edges = np.linspace(0, len(samples_T), min(width, len(samples_T)) + 1).astype(int)
    peaks = np.maximum.reduceat(np.abs(samples_T), edges[:-1])
    peaks = peaks / max(float(peaks.max()), 1e-9)
    middle = (height - 1) / 2
    for column in range(width):
        reach = float(peaks[column * len(peaks) // width]) * middle
        canvas.line([(column, middle - reach), (column, middle + reach)], fill=STROKES[3])
    return image


def _points(down_T: np.ndarray, width: int, band: tuple[float, float]) -> list[tuple[float, float]]:
    """Return a curve of at most one point per column, without missing values."""
    indices = np.unique(np.linspace(0, len(down_T) - 1, min(len(down_T), width)).astype(int))
    indices = indices[np.isfinite(down_T[indices])]
    across = indices * (width - 1) / max(len(down_T) - 1, 1)
    down = band[0] + down_T[indices] * (band[1] - band[0])
    return list(zip(across.tolist(), down.tolist(), strict=True))
