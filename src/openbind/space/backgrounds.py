"""Unrelated images for `openbind.localisation.backgrounds`: those that ship, in each space's cells.

They are computed once for each space, when `present` is first asked for, and cached on disk.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from openbind.download import cache_directory
from openbind.localisation.backgrounds import IMAGES, Backgrounds, choose_cells

VERSION = 2
"""Of how cells are computed and chosen; raise it when that changes."""
FOLDER = "backgrounds"
ReadCells = Callable[[Path, dict[str, Any]], torch.Tensor]
"""(image, settings of its preprocessing) → cells_HWD."""


def load_backgrounds(modality: str, identity: str, read: ReadCells) -> Backgrounds | None:
    """Return the backgrounds of a space, computed if they aren't known.

    Args:
        modality: of the images.
        identity: of the tower, its preprocessing and the method.
        read: computes the cells of an image.

    Returns:
        None if no images of the modality ship.
    """
    name = hashlib.sha256(f"{VERSION} {modality} {identity}".encode()).hexdigest()[:32]
    shipped = Path(str(files("openbind"))) / "assets" / FOLDER / f"{name}.safetensors"
    path = shipped if shipped.exists() else cache_directory() / FOLDER / f"{name}.safetensors"
    if not path.exists():
        rows = unrelated_images(modality)
        if not rows:
            return None
        kept = [choose_cells(read(image, settings)) for image, settings in rows]
        Backgrounds(torch.stack(kept)).save(path)
    return _load(path)


@lru_cache(maxsize=8)
def _load(path: Path) -> Backgrounds:
    return Backgrounds.load(path)


def unrelated_images(modality: str) -> Sequence[tuple[Path, dict[str, Any]]]:
    """Return images that ship, each with the settings that it needs; spread over the table."""
    folder = Path(str(files("openbind"))) / "assets" / "held_out"
    with (folder / "held_out.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["modality"] == modality and row["path"]]
    step = max(1, -(-len(rows) // IMAGES))
    return [
        ((folder / row["path"]).resolve(), json.loads(row["settings"] or "{}"))
        for row in rows[::step]
    ]
