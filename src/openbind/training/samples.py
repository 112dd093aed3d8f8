"""An image of what held rows retrieve: each row's item, and the frozen items nearest to it."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from openbind.atomic import atomic_path
from openbind.data.views import apply_view
from openbind.embedding.items import (
    Ensemble,
    StoredFeatures,
    StoredVector,
    item_name,
    open_item,
)
from openbind.embedding.many import Entry
from openbind.errors import OpenbindError
from openbind.modalities.spec import View
from openbind.modalities.thumbnails import draw_thumbnail
from openbind.training.validation import SHOWN, Example

TILE, FRAME, GAP = 112, 4, 24
"""Pixels of an item's square, of the frame around it, and between the query and what it found."""
OWN, OTHER, PAPER, INK = "#1a7f37", "#d0d7de", "#ffffff", "#24292f"
"""Colors of a row's own items, of others, of what is behind them, and of text."""


def write_samples(path: Path, examples: Sequence[Example]) -> None:
    """Draw one line for each example: the query, then what it found, its own in green.

    Args:
        path: of the JPEG.
        examples: at least one.
    """
    side = TILE + 2 * FRAME
    sheet = Image.new("RGB", (side * (SHOWN + 1) + GAP, side * len(examples)), PAPER)
    for line, example in enumerate(examples):
        sheet.paste(_tile(example.query, OTHER), (0, line * side))
        for column, (entry, own) in enumerate(zip(example.found, example.relevant, strict=True)):
            place = (side * (column + 1) + GAP, line * side)
            sheet.paste(_tile(entry, OWN if own else OTHER), place)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        sheet.save(temporary, "JPEG", quality=85)


@lru_cache(maxsize=512)
def _tile(entry: Entry, color: str) -> Image.Image:
    """Draw an item in a frame; its name where it can't be drawn."""
    shown = _thumbnail(entry) or _text(entry)
    fitted = ImageOps.pad(shown, (TILE, TILE), color=PAPER)
    return ImageOps.expand(fitted, FRAME, color)


def _thumbnail(entry: Entry) -> Image.Image | None:
    (view,) = entry.views
    if isinstance(entry.item, StoredVector | StoredFeatures | Ensemble):
        return None
    try:
        item = open_item(entry.item)
        shown = item if view == View() else apply_view(entry.modality, item, view)
    except (OpenbindError, OSError):
        return None
    content = draw_thumbnail(entry.modality, shown, (TILE, TILE))
    return None if content is None else Image.open(io.BytesIO(content)).convert("RGB")


def _text(entry: Entry) -> Image.Image:
    """Draw a text, or the name of another item."""
    tile = Image.new("RGB", (TILE, TILE), PAPER)
    lines = textwrap.wrap(item_name(entry.item), 18)[:8]
    ImageDraw.Draw(tile).text((4, 4), "\n".join(lines), INK, ImageFont.load_default(11))
    return tile
