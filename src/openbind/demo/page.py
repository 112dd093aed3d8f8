"""Draw a showcase as one self-contained HTML page: thumbnails, players, heat maps."""

from __future__ import annotations

import os
from collections import Counter
from importlib.resources import files
from pathlib import Path

import jinja2
import numpy as np

from openbind.atomic import atomic_path
from openbind.demo.showcase import Classification, Showcase
from openbind.evaluation.report.drawings import draw_item, playable_url
from openbind.media.types import plays_as_audio

DRAWN_SIDE = 240
"""Longest side of images, in pixels."""


def write_page(showcase: Showcase, folder: Path, target: str | os.PathLike[str]) -> None:
    """Write the page, whole or not at all.

    Args:
        showcase: what to draw.
        folder: where the samples' files are; the page holds copies of them.
        target: the HTML file.

    Raises:
        OSError: the file can't be written.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(
        (files("openbind") / "demo" / "page.html.j2").read_text(encoding="utf-8")
    )
    shown = {
        item.path: _show(str(folder / item.path), item.modality)
        for item in showcase.items
        if item.path
    }
    html = template.render(
        showcase=showcase,
        shown=shown,
        color=_color,
        confusions=_confusions,
    )
    with atomic_path(target) as temporary:
        temporary.write_text(html, encoding="utf-8")


def _show(path: str, modality: str) -> tuple[str, str]:
    """Return how a browser shows a file, "image", "sound" or "video", and the URL that holds it."""
    url = playable_url(path)
    if url is not None:
        return ("sound" if plays_as_audio(path) else "video"), url
    return "image", draw_item(path, modality, DRAWN_SIDE) or ""


def _color(value: float, values: np.ndarray) -> str:
    """Return a cell of a heat map its color: the lowest value white, the highest dark."""
    low, high = float(values.min()), float(values.max())
    share = (value - low) / (high - low) if high > low else 0.0
    return f"hsl(248 55% {97 - 57 * share:.0f}%)"


def _confusions(found: Classification) -> list[tuple[str, list[int]]]:
    """Count, for each true concept, how often each label was given."""
    counts = Counter((item.concept, label) for item, label, _ in found.rows)
    return [(true, [counts[true, label] for label in found.labels]) for true in found.labels]
