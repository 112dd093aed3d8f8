"""Arrays → small pictures for people to look at; no number that a tower gets comes from here."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageOps

COLD, MIDDLE, HOT = "#0b0724", "#b5367a", "#fcfdbf"
"""Dark to light, as matplotlib's magma: lightness alone orders the values."""
INK = ("#4b3fc4", "#b5367a", "#e08a00")
GROUND = "#ffffff"


def draw_map(values_HW: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """Colour a map by value, from its 1st percentile (dark) to its 99th (light).

    Args:
        values_HW: of any range; NaN and infinities are drawn dark.
        size: greatest width and height; the shape is kept.

    Returns:
        an RGB picture.
    """
    good_HW = np.isfinite(values_HW)
    low, high = np.percentile(values_HW[good_HW], (1, 99)) if good_HW.any() else (0.0, 1.0)
    unit_HW = (np.where(good_HW, values_HW, low) - low) / max(high - low, 1e-12)
    grey = Image.fromarray(np.round(unit_HW.clip(0, 1) * 255).astype(np.uint8))
    grey.thumbnail(size)
    return ImageOps.colorize(grey, black=COLD, mid=MIDDLE, white=HOT)


def draw_series(values_TC: np.ndarray, size: tuple[int, int], groups: int = 2) -> Image.Image:
    """Draw channels as lines over time, in bands one below the other.

    Args:
        values_TC: finite, (steps, channels).
        size: width and height of the picture.
        groups: bands; each has as many of the channels, with a scale of its own.

    Returns:
        an RGB picture.
    """
    width, height = size
    picture = Image.new("RGB", size, GROUND)
    pen = ImageDraw.Draw(picture)
    band = height / groups
    across_T = np.linspace(0, width - 1, len(values_TC))
    for number, part_TC in enumerate(np.split(values_TC, groups, axis=1)):
        low, high = float(part_TC.min()), float(part_TC.max())
        unit_TC = (part_TC - low) / max(high - low, 1e-12)
        down_TC = band * number + band * (0.95 - 0.9 * unit_TC)
        for channel in range(part_TC.shape[1]):
            points = list(zip(across_T.tolist(), down_TC[:, channel].tolist(), strict=True))
            pen.line(points, fill=INK[channel % len(INK)], width=1)
    return picture


def draw_wave(samples_T: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """Draw a sound's loudness over time: for each column, its greatest sample up and down.

    Args:
        samples_T: in [-1, 1], at least one.
        size: width and height of the picture.

    Returns:
        an RGB picture; the loudest column is as high as it is.
    """
    width, height = size
    picture = Image.new("RGB", size, GROUND)
    pen = ImageDraw.Draw(picture)
    edges = np.linspace(0, len(samples_T), min(width, len(samples_T)) + 1).astype(int)
    peaks = np.maximum.reduceat(np.abs(samples_T), edges[:-1])
    peaks = peaks / max(float(peaks.max()), 1e-12)
    for column, peak in enumerate(peaks):
        across = column * width / len(peaks)
        half = peak * (height / 2 - 1)
        pen.line([(across, height / 2 - half), (across, height / 2 + half)], fill=INK[0])
    return picture
