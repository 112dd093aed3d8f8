"""What a space's decoder draws of items that it wasn't trained on."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from openbind.evaluation.collection import EmbeddedItems, ItemSet
from openbind.evaluation.controls import find_generator
from openbind.evaluation.embedder import Embedder
from openbind.evaluation.report.contents import Imagined, Neighbor
from openbind.evaluation.report.drawings import data_url
from openbind.evaluation.report.neighbors import find_neighbors
from openbind.evaluation.samples import DrawnPart
from openbind.modalities import IMAGE
from openbind.space.space import Space

EACH = 2
"""Images of an item."""


def imagine(
    embedder: Embedder, part: DrawnPart, sets: Sequence[ItemSet], images: EmbeddedItems
) -> list[Imagined]:
    """Draw items of a held-out set; nothing where the space has no decoder.

    Args:
        embedder: of the space.
        part: which items.
        sets: the held-out sets.
        images: the collection, which the decoder may have been trained on.
    """
    space = embedder.space
    sides = [held.sides[part.modality] for held in sets if held.title == part.set]
    if space.generator is None or not sides:
        return []
    by_label = {item.label: item for item in reversed(sides[0].items)}
    items = [by_label[label] for label in part.labels if label in by_label]
    encoder = space.with_settings(part.modality, **sides[0].settings)
    vectors_NE = encoder.encode(part.modality, [item.content for item in items])
    drawn = space.generate(vectors_NE, modality=part.modality, n=EACH)
    firsts_NE = space.encode(part.target, [first for first, *_ in drawn])
    return [
        Imagined(
            item=item,
            modality=part.modality,
            images=tuple(map(_png_url, made)),
            target=part.target,
            nearest=_nearest(first_E, images),
            learned=_find_learned(space, first_E),
        )
        for item, made, first_E in zip(items, drawn, firsts_NE, strict=True)
    ]


def _nearest(vector_E: np.ndarray, images: EmbeddedItems) -> Neighbor:
    return find_neighbors(vector_E, images, 1, lambda item: None)[0]


def _find_learned(space: Space, vector_E: np.ndarray) -> tuple[str, str] | None:
    """Return name and thumbnail of the image nearest to a vector that the decoder learned from."""
    generator = find_generator(space)
    if generator is None or generator.thumbnails is None:
        return None
    row = int(generator.find_nearest(torch.from_numpy(vector_E)[None], IMAGE)[0, 0])
    return generator.thumbnails.names[row], _png_url(generator.thumbnails.tile(row))


def _png_url(image: Image.Image) -> str:
    content = io.BytesIO()
    image.save(content, "PNG")
    return data_url(content.getvalue(), "image/png")
