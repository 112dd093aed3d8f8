"""Heat maps drawn over images."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from openbind.localisation.heat import Localisation
from openbind.localisation.moments import Curve, Moment

STRENGTH = 0.65
"""Of the hottest color over the image."""
COLORS = np.array([(40, 0, 90), (150, 20, 110), (225, 75, 60), (250, 165, 30), (252, 250, 160)])
"""From cold to hot: dark violet, magenta, red, orange, yellow; also legible in gray."""
BOX_COLOR = (255, 255, 255)
CURVE_SIZE = (1024, 200)
SHADED, LINE = (255, 226, 190), (150, 20, 110)


def draw_overlay(image: Image.Image, found: Localisation) -> Image.Image:
    """Draw a heat map and its boxes over an image.

    Args:
        image: RGB, of any size; the map is enlarged to it.
        found: what is drawn; boxes are in pixels of the image's original size.

    Returns:
        RGB of the image's size.
    """
    heat_HW = found.over_image(image.size)
    low, high = float(found.heat.min()), float(found.heat.max())
    unit_HW = np.nan_to_num((heat_HW - low) / max(high - low, 1e-6), nan=0.0).clip(0, 1)
    weight_HW1 = STRENGTH * unit_HW[..., None]
    mixed_HWC = np.asarray(image) * (1 - weight_HW1) + _colors_of(unit_HW) * weight_HW1
    drawn = Image.fromarray(mixed_HWC.round().astype(np.uint8))
    pen, width = ImageDraw.Draw(drawn), max(1, round(max(image.size) / 300))
    across, down = image.width / found.size[0], image.height / found.size[1]
    for x0, y0, x1, y1, _ in found.boxes:
        right, bottom = max(x1 * across - 1, x0 * across), max(y1 * down - 1, y0 * down)
        pen.rectangle((x0 * across, y0 * down, right, bottom), outline=BOX_COLOR, width=width)
    return drawn


def draw_curve(curve: Curve, moments: list[Moment]) -> Image.Image:
    """Draw a curve over time, its moments shaded.

    Returns:
        RGB of `CURVE_SIZE`; the whole recording from left to right.
    """
    drawn = Image.new("RGB", CURVE_SIZE, "white")
    pen, (width, height) = ImageDraw.Draw(drawn), CURVE_SIZE
    for start, end, _ in moments:
        across = [round(at / curve.total * (width - 1)) for at in (start, end)]
        pen.rectangle((across[0], 0, across[1], height), fill=SHADED)
    low, high = float(curve.scores_T.min()), float(curve.scores_T.max())
    x_T = curve.seconds_T / curve.total * (width - 1)
    y_T = (1 - (curve.scores_T - low) / max(high - low, 1e-6)) * (height - 9) + 4
    pen.line(np.stack([x_T, y_T], axis=1).ravel().tolist(), fill=LINE, width=3)
    return drawn


def _colors_of(unit_HW: np.ndarray) -> np.ndarray:
    """Return colors_HWC for numbers in [0, 1], between those of `COLORS`."""
    at = np.linspace(0, 1, len(COLORS))
    return np.stack([np.interp(unit_HW, at, COLORS[:, c]) for c in range(3)], axis=-1)
