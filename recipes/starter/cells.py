"""Write image embeddings to files, and the manifest cells that refer to them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pairs import Image

# Relative to the work folder, as in the manifests.
VECTORS = Path("images/images.npy")
CLASS_VECTORS = Path("images/classes.npy")
IMAGES = Path("images/images.jsonl")


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Cells of a manifest's column `image.vector`, by image and by class.

    Args:
        images: all images.
        of_image: path → a cell for each view.
        of_class: name of one of the image classifier's classes → its cell, repeated once per view
            of an image, so that both have the same weight.
    """

    images: Sequence[Image]
    of_image: Mapping[Path, list[str]]
    of_class: Mapping[str, list[str]]

    def show(self, wanted: Mapping[str, Sequence[str]]) -> list[str]:
        """Return the cells of all images with certain names.

        Args:
            wanted: "classes", or a source of images → names in it.
        """
        found = [cell for name in wanted.get("classes", ()) for cell in self.of_class[name]]
        for image in self.images:
            if image.name in wanted.get(image.source, ()):
                found += self.of_image[image.path]
        return found


def write_cells(
    work: Path,
    images: Sequence[Image],
    views_KSE: torch.Tensor,
    classes: Mapping[str, torch.Tensor],
) -> Cells:
    """Write the vectors, and a manifest of all images for a recipe's `extra_negatives`.

    Args:
        work: the work folder.
        images: all possible negatives.
        views_KSE: unit embeddings of their views.
        classes: name → unit embedding (E,).
    """
    (work / VECTORS).parent.mkdir(parents=True, exist_ok=True)
    np.save(work / VECTORS, views_KSE.flatten(0, 1).numpy())
    np.save(work / CLASS_VECTORS, torch.stack(list(classes.values())).numpy())
    count = views_KSE.shape[1]
    of_image = {
        image.path: [f"{VECTORS}#{row}" for row in range(k * count, (k + 1) * count)]
        for k, image in enumerate(images)
    }
    of_class = {name: [f"{CLASS_VECTORS}#{row}"] * count for row, name in enumerate(classes)}
    write_lines(work / IMAGES, ({"image.vector": c} for own in of_image.values() for c in own))
    return Cells(images=images, of_image=of_image, of_class=of_class)


def write_lines(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    """Write JSON Lines."""
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read JSON Lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
