"""Small pictures of items: photographs, maps in false colours, sounds and motion as curves."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from openbind.evaluation.collection import Look
from openbind.evaluation.report.media_urls import data_url, file_url, media_type
from openbind.media.audio import read_audio
from openbind.media.image import read_image
from openbind.media.maps import read_map
from openbind.media.series import TIME_COLUMNS
from openbind.media.tables import read_table
from openbind.media.video import read_frame_at

MOST_PLAYED_BYTES = 300_000
"""Sounds and films of more bytes are drawn only."""
WEBP_QUALITY = 80
FALSE_COLOURS = np.array(
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
STROKES = ("#e4572e", "#2e9e6b", "#3b7dd8", "#b565c9", "#d99a00", "#159ca8")
"""Of the axes of a sensor; they show on white and on black."""
SPREAD = (2.0, 98.0)
"""Percentiles of a map that become dark and bright: one hot pixel must not darken the rest."""
BARS = 64
"""Of a sound's outline."""


def draw_item(path: str, look: Look, side: int) -> str | None:
    """Draw a small picture of an item.

    Args:
        path: of its file.
        look: what kind of thing it is.
        side: longest side in pixels.

    Returns:
        a data URL; None for words, which are shown as they are.

    Raises:
        InputError: the file can't be read as that kind.
        MissingExtraError: a film, without the extra "video".
    """
    if look == "words":
        return None
    if look == "picture":
        return _webp(read_image(path, min_side=side), side)
    if look == "film":
        return _webp(Image.fromarray(read_frame_at(path, lambda seconds: seconds / 2)), side)
    if look == "map":
        return _webp(colour_map(read_map(path, colour="luminance")), side)
    if look == "sound":
        return _svg(draw_sound(path), side)
    return _svg(draw_lines(path), side)


def playable_url(path: str, look: Look) -> str | None:
    """Embed a sound or a film as it is.

    Returns:
        a data URL; None for what isn't played, is too large, or no browser knows.

    Raises:
        OSError: it can't be read.
    """
    if look not in ("sound", "film") or media_type(path) is None:
        return None
    return None if Path(path).stat().st_size > MOST_PLAYED_BYTES else file_url(path)


def colour_map(map_HW: np.ndarray) -> Image.Image:
    """Draw measurements in false colours, the higher the brighter; missing ones are grey."""
    values_HW = map_HW.astype(np.float64)
    good_HW = np.isfinite(values_HW)
    low, high = np.percentile(values_HW[good_HW], SPREAD) if good_HW.any() else (0.0, 1.0)
    share_HW = np.where(good_HW, values_HW - low, 0) / (high - low if high > low else 1.0)
    steps = np.linspace(0, 1, len(FALSE_COLOURS))
    rgb = [np.interp(share_HW, steps, FALSE_COLOURS[:, channel]) for channel in range(3)]
    colours_HWC = np.where(good_HW[:, :, None], np.stack(rgb, axis=2), 128)
    return Image.fromarray(np.round(colours_HWC).astype(np.uint8))


def draw_sound(path: str) -> str:
    """Draw how loud a sound is over time, as the body of an SVG of 320 × 120."""
    sound = read_audio(path)
    level_T = np.abs(sound.samples_CT).max(axis=0)
    peaks = np.array([part.max() if part.size else 0.0 for part in np.array_split(level_T, BARS)])
    heights = np.maximum(100 * peaks / max(float(peaks.max()), 1e-9), 2)
    width = 320 / BARS
    bars = "".join(
        f"M{(place + 0.5) * width:.1f} {60 - height / 2:.1f}v{height:.1f}"
        for place, height in enumerate(heights)
    )
    return f'<path d="{bars}" stroke="{STROKES[3]}" stroke-width="{0.6 * width:.1f}"/>'


def draw_lines(path: str) -> str:
    """Draw a sensor's axes over time, as the body of an SVG of 320 × 120.

    The first half of the axes above, the others below, each half on a scale of its own: the axes
    of an accelerometer and a gyroscope have other units.
    """
    table = read_table(path)
    names = table.columns or ("",) * table.values_TC.shape[1]
    kept = [place for place, name in enumerate(names) if name.strip().lower() not in TIME_COLUMNS]
    values_TC = table.values_TC[:, kept]
    half = (values_TC.shape[1] + 1) // 2
    lines = []
    for first, last, top in ((0, half, 4), (half, values_TC.shape[1], 64)):
        part_TC = values_TC[:, first:last]
        if not np.isfinite(part_TC).any():
            continue
        low, high = np.nanmin(part_TC), np.nanmax(part_TC)
        y_TC = top + 52 * (high - part_TC) / (high - low if high > low else 1.0)
        lines += [
            f'<path d="{_path(y_T)}" stroke="{STROKES[(first + axis) % len(STROKES)]}"/>'
            for axis, y_T in enumerate(y_TC.T)
        ]
    return "".join(lines)


def _path(y_T: np.ndarray) -> str:
    """Write a curve over 320 pixels with at most as many points; gaps are left out."""
    places = np.unique(np.linspace(0, len(y_T) - 1, min(len(y_T), 320)).astype(int))
    places = places[np.isfinite(y_T[places])]
    x_T = places * 320 / max(len(y_T) - 1, 1)
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(x_T, y_T[places], strict=True))


def _svg(body: str, side: int) -> str:
    drawing = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{side}" height="{side * 3 // 8}" '
        f'viewBox="0 0 320 120" fill="none" stroke-width="1.5">{body}</svg>'
    )
    return data_url(drawing.encode(), "image/svg+xml")


def _webp(picture: Image.Image, side: int) -> str:
    small = picture.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, "WEBP", quality=WEBP_QUALITY)
    return data_url(file.getvalue(), "image/webp")
