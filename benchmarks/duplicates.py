"""Which edited images and other copies `openbind duplicates` finds, at several thresholds.

    python benchmarks/duplicates.py FOLDER [--images 600] [--edited 100]

FOLDER has photographs of different things. Edits of some of them are compared with the originals,
and all photographs with each other: pairs above a threshold are false alarms, or true duplicates in
the folder (the nearest pairs are printed, to be looked at).
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

import openbind

THRESHOLDS = (0.8, 0.85, 0.9, 0.95)
SHOWN = 5


def crop(image: Image.Image, part: float) -> Image.Image:
    """Return the middle of an image, `part` of each side."""
    x, y = (1 - part) / 2 * image.width, (1 - part) / 2 * image.height
    return image.crop((round(x), round(y), round(image.width - x), round(image.height - y)))


def compress(image: Image.Image, quality: int) -> Image.Image:
    """Return what a JPEG of some quality keeps."""
    content = io.BytesIO()
    image.save(content, "JPEG", quality=quality)
    return Image.open(io.BytesIO(content.getvalue())).convert("RGB")


def shrink(image: Image.Image, width: int) -> Image.Image:
    """Return a thumbnail."""
    return image.resize((width, max(1, width * image.height // image.width)))


EDITS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "320 pixels wide": lambda image: shrink(image, 320),
    "160 pixels wide": lambda image: shrink(image, 160),
    "JPEG quality 40": lambda image: compress(image, 40),
    "cropped to 90 %": lambda image: crop(image, 0.9),
    "cropped to 75 %": lambda image: crop(image, 0.75),
    "grayscale": lambda image: ImageOps.grayscale(image).convert("RGB"),
    "mirrored": ImageOps.mirror,
    "saturated by 1.6": lambda image: ImageEnhance.Color(image).enhance(1.6),
    "brightened by 1.3": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
}


def main() -> None:
    """Embed, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--edited", type=int, default=100)
    arguments = parser.parse_args()
    space = openbind.load("starter", modalities=["image"])
    paths = sorted(arguments.folder.rglob("*.jpg"))
    order = np.random.default_rng(0).permutation(len(paths))[: arguments.images]
    paths = [paths[place] for place in order]
    vectors_NE = space.encode("image", [str(path) for path in paths])
    print("edit".ljust(20), *(f"≥ {threshold}" for threshold in THRESHOLDS))
    originals = [Image.open(path).convert("RGB") for path in paths[: arguments.edited]]
    for name, edit in EDITS.items():
        edited_NE = space.encode("image", [edit(image) for image in originals])
        cosines = (edited_NE * vectors_NE[: len(originals)]).sum(axis=1)
        print(name.ljust(20), *(f"{(cosines >= t).mean():6.0%}" for t in THRESHOLDS))
    cosines_NN = np.triu(vectors_NE @ vectors_NE.T, k=1)
    pairs = [int((cosines_NN >= threshold).sum()) for threshold in THRESHOLDS]
    print(f"pairs of {len(paths)}".ljust(20), *(f"{count:6}" for count in pairs))
    for flat in np.argsort(-cosines_NN, axis=None)[:SHOWN]:
        a, b = divmod(int(flat), len(paths))
        print(f"  {cosines_NN[a, b]:.3f}  {paths[a].name}  {paths[b].name}")


if __name__ == "__main__":
    main()
