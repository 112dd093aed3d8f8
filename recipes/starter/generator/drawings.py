"""The drawings that the generator learns from and is measured on, with their vectors.

Open Clip Art and three sets of emoji are learned from; a tenth of them, by name, and all Tux Paint
stamps are held out as whole drawings: a name is held out in all three sets.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pairs import Image, read_emoji, read_images
from PIL import Image as Pillow
from PIL import ImageEnhance
from safetensors.torch import load_file, save_file
from tqdm import tqdm
from views import is_small_enough

from openbind.media.image import read_image
from openbind.modalities.image import ImageSettings, fit_image, prepare
from openbind.model.backbones.efficientnet_lite import EfficientNetLite, join_parts

MORE_EMOJI = {
    "noto": Path("npm/emoji-datasource-google/package/img/google/64"),
    "twemoji": Path("npm/emoji-datasource-twitter/package/img/twitter/64"),
}
"""Source → folder of the same emoji, drawn by others; 64 pixels."""
NUM_VARIANTS = 3
"""Of each drawing that is learned from: as it is, mirrored, and changed a little."""
READ_PIXELS, KEPT_PIXELS = 320, 96
"""Sides of what the tower sees, and of what is kept to learn from."""
LETTERS = re.compile(r"letter|number|text|sign\b|abc|clock|word|card|book|keyboard|calendar")
"""Drawings that aren't mirrored."""


@dataclass(frozen=True, kw_only=True)
class Drawings:
    """Drawings in the order of `read_drawings`, V variants of each.

    Args:
        pixels_NVHWC: uint8.
        features_NVD: of the image tower, the input of its `embed`.
        cells_NVC: of the image tower, the input of its `layout`.
    """

    pixels_NVHWC: NDArray[np.uint8]
    features_NVD: torch.Tensor
    cells_NVC: torch.Tensor


def read_drawings(work: Path) -> list[Image]:
    """List all drawings, in a fixed order."""
    first = [drawing for drawing in read_images(work) if is_small_enough(drawing.path)]
    return first + [drawing for source in MORE_EMOJI for drawing in read_more_emoji(work, source)]


def read_more_emoji(work: Path, source: str) -> list[Image]:
    """List the captioned emoji that another set has too."""
    found = [
        replace(emoji, source=source, path=work / MORE_EMOJI[source] / f"{emoji.path.stem}.png")
        for emoji in read_emoji(work)
    ]
    return [emoji for emoji in found if emoji.path.exists()]


def is_held_out(drawing: Image) -> bool:
    """Return whether a drawing is held out: every stamp, and a tenth of the others by name."""
    name = drawing.name or drawing.path.stem
    return drawing.source == "stamps" or zlib.crc32(name.lower().encode()) % 10 == 0


def make_variants(drawing: Image) -> list[Pillow.Image]:
    """Return a drawing's square variants on white; randomness depends only on its file name."""
    chance = np.random.default_rng(zlib.crc32(drawing.path.name.encode()))
    inner = fit_image(
        read_image(drawing.path), ImageSettings(size=round(READ_PIXELS * 0.92), fit="pad")
    )
    square = Pillow.new("RGB", (READ_PIXELS,) * 2, "white")
    square.paste(inner, ((READ_PIXELS - inner.width) // 2,) * 2)
    words = " ".join([drawing.name, *(text for text, _ in drawing.texts)]).lower()
    may_mirror = LETTERS.search(words) is None
    mirrored = square.transpose(Pillow.Transpose.FLIP_LEFT_RIGHT) if may_mirror else square
    changed = mirrored if chance.random() < 0.5 else square
    return [square, mirrored, change(changed, chance)]


def change(image: Pillow.Image, chance: np.random.Generator) -> Pillow.Image:
    """Scale, shift, turn and recolor an image a little."""
    scale, turn = 1 / chance.uniform(0.8, 1.05), np.radians(chance.uniform(-8, 8))
    cos, sin, half = scale * np.cos(turn), scale * np.sin(turn), image.width / 2
    left, top = chance.uniform(-0.06, 0.06, 2) * image.width
    matrix = (
        *(cos, sin, half - cos * half - sin * half + left),
        *(-sin, cos, half + sin * half - cos * half + top),
    )
    moved = image.transform(
        image.size,
        Pillow.Transform.AFFINE,
        matrix,
        Pillow.Resampling.BICUBIC,
        fillcolor="white",
    )
    return ImageEnhance.Color(moved).enhance(chance.uniform(0.7, 1.3))


def compute_drawings(
    tower: EfficientNetLite, settings: ImageSettings, drawings: Sequence[Image], work: Path
) -> Drawings:
    """Return all drawings' variants and what the image tower sees in them; cached in `work`."""
    kept = work / "generator_drawings.safetensors"
    if not kept.exists():
        pixels, features, cells = [], [], []
        with torch.no_grad():
            for drawing in tqdm(drawings, desc="drawings", disable=None):
                variants = make_variants(drawing)
                small = [v.resize((KEPT_PIXELS,) * 2, Pillow.Resampling.BOX) for v in variants]
                pixels.append(torch.from_numpy(np.stack([np.asarray(s) for s in small])))
                preprocess = prepare(settings, None)
                seen = tower.read(torch.cat([preprocess(v).clips for v in variants]))
                features.append(seen[0])
                cells.append(seen[1])
        save_file(
            {
                "pixels": torch.stack(pixels),
                "features": torch.stack(features),
                "cells": torch.stack(cells).half(),
            },
            kept,
        )
    found = load_file(kept)
    if len(found["pixels"]) != len(drawings):
        raise RuntimeError(f"{kept} is of other drawings; delete it")
    return Drawings(
        pixels_NVHWC=found["pixels"].numpy(),
        features_NVD=found["features"],
        cells_NVC=found["cells"].float(),
    )


@torch.no_grad()
def embed_drawings(tower: EfficientNetLite, drawings: Drawings) -> torch.Tensor:
    """Return the space's unit vectors of all variants (N, V, E)."""
    assert tower.layout is not None
    assert tower.config.layout is not None
    content_NVE = tower.embed(drawings.features_NVD)
    return join_parts(content_NVE, tower.layout(drawings.cells_NVC), tower.config.layout.share)
