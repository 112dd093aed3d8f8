"""Photographs to learn from: with captions by people, or with the name of what they show."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from held_out import held_out_photographs
from PIL import Image as Pillow
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from openbind.media.image import read_image
from openbind.modalities.image import ImageSettings, fit_image
from openbind.model.backbones.efficientnet_lite import EfficientNetLite
from openbind.signal.resize import normalize

CAPTIONED = "coco"
NAMED = ("caltech101", "clothing", "grocery", "flowers")
"""Folders of the data."""
NUM_TESTED = 1000
"""Captioned photographs in the test part, as in the retrieval tasks of the literature."""
TINY_PIXELS = 32
MEASURED = Path("picture-measured")
"""Below the work folder: the space whose image head hasn't seen the test part."""


@dataclass(frozen=True, kw_only=True)
class Photograph:
    """A photograph and what people say it shows.

    Args:
        path: of the file.
        set: the data's folder.
        texts: its captions, or the one name of its class.
        tested: whether it belongs to the test part.
        held_out: whether it ships in a held-out set; it is then in the test part too.
    """

    path: Path
    set: str
    texts: tuple[str, ...]
    tested: bool
    held_out: bool = False


def read_photographs(data: Path) -> list[Photograph]:
    """List all photographs: the captioned ones, then the named ones.

    The test part is `NUM_TESTED` captioned photographs, and every third of each class of the named
    ones, drawn at random.
    """
    return read_captioned(data) + [found for name in NAMED for found in read_named(data, name)]


def read_captioned(data: Path) -> list[Photograph]:
    """List the photographs with captions."""
    rows = _read_rows(data / CAPTIONED / "pairs.csv")
    tested = set(np.random.default_rng(0).permutation(len(rows))[:NUM_TESTED].tolist())
    return [
        Photograph(
            path=data / CAPTIONED / row["image"],
            set=CAPTIONED,
            texts=tuple(t for k in range(1, 6) if (t := row[f"caption{k}"].strip())),
            tested=index in tested,
        )
        for index, row in enumerate(rows)
    ]


def read_named(data: Path, name: str) -> list[Photograph]:
    """List a set's photographs with the names of their classes."""
    rows = _read_rows(data / name / "items.csv")
    places, seen = [0] * len(rows), dict[str, int]()
    for index in np.random.default_rng(1).permutation(len(rows)):
        label = rows[index]["label"]
        places[index] = seen.get(label, 0)
        seen[label] = places[index] + 1
    return [
        Photograph(
            path=data / name / row["image"],
            set=name,
            texts=(row["label"],),
            tested=place % 3 == 1,
            held_out=f"{name}/{row['image']}" in held_out_photographs(),
        )
        for row, place in zip(rows, places, strict=True)
    ]


def _read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def photograph_features(
    tower: EfficientNetLite, found: Sequence[Photograph], settings: ImageSettings, work: Path
) -> torch.Tensor:
    """Return features_NVD of three views of each photograph; cached in the work folder.

    The views are the one that the space takes, a random part of it (flipped or gray at random),
    and one upsampled from 32 pixels.
    """
    kept = work / "photograph_features.safetensors"
    if not kept.exists():
        rows = []
        with torch.no_grad():
            for photograph in tqdm(found, desc="photographs", disable=None):
                views = make_views(photograph.path, settings)
                arrays = [normalize(view, settings.mean, settings.std) for view in views]
                rows.append(tower.features(torch.from_numpy(np.stack(arrays))))
        save_file({"features_NVD": torch.stack(rows)}, kept)
    features_NVD = load_file(kept)["features_NVD"]
    if len(features_NVD) != len(found):
        raise RuntimeError(f"{kept} is of other photographs; delete it")
    return features_NVD


def make_views(path: Path, settings: ImageSettings) -> list[Pillow.Image]:
    """Return a photograph's views; randomness depends only on the file's name."""
    image, chance = read_image(path), np.random.default_rng(zlib.crc32(path.name.encode()))
    tiny = cut_square(image, chance.uniform(0.7, 1))
    tiny = tiny.resize((TINY_PIXELS,) * 2, Pillow.Resampling.BOX)
    return [
        fit_image(image, settings),
        cut_part(image, settings.size, chance),
        tiny.resize((settings.size,) * 2, Pillow.Resampling.BICUBIC),
    ]


def cut_part(image: Pillow.Image, size: int, chance: np.random.Generator) -> Pillow.Image:
    """Return a random part of an image, or all of it, flipped or gray at random."""
    width, height = image.size
    if chance.random() < 0.7:
        side = np.sqrt(chance.uniform(0.35, 1)) * min(width, height)
        stretch = np.exp(chance.uniform(-0.25, 0.25))
        columns, rows = min(width, side * stretch), min(height, side / stretch)
        left, top = chance.uniform(0, width - columns), chance.uniform(0, height - rows)
        image = image.crop((int(left), int(top), int(left + columns), int(top + rows)))
    image = image.resize((size, size), Pillow.Resampling.BICUBIC)
    if chance.random() < 0.5:
        image = image.transpose(Pillow.Transpose.FLIP_LEFT_RIGHT)
    return image.convert("L").convert("RGB") if chance.random() < 0.4 else image


def cut_square(image: Pillow.Image, share: float) -> Pillow.Image:
    """Return the square in the middle, of a share of the shorter side."""
    width, height = image.size
    side = share * min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return image.crop((int(left), int(top), int(left + side), int(top + side)))
