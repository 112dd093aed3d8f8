"""What a decoder draws beside the images that it learned from: retrieval, copies, composition.

They need a decoder that ships thumbnails and vectors of those images, as the starter's does; of
other decoders nothing is measured here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from openbind.evaluation.drawn import COPY_PERCENTILE
from openbind.evaluation.judge import Judge
from openbind.evaluation.metrics import fraction_interval
from openbind.evaluation.results import Score
from openbind.generation.small import Generator, SmallDecoder
from openbind.modalities import IMAGE
from openbind.space.space import Space

NEAR = 4
"""Images learned from, the nearest by the space, that a copy could be of."""
COMPOSED = 16
"""Pairs of an item and another's layout."""


def find_generator(space: Space) -> Generator | None:
    """Return a space's small generator, if it knows the images that it learned from."""
    decoder = getattr(space.generator, "decoder", space.generator)
    if not isinstance(decoder, SmallDecoder) or decoder.generator.thumbnails is None:
        return None
    return decoder.generator


def measure_controls(
    judge: Judge,
    space: Space,
    modality: str,
    labels: Sequence[str],
    vectors_NE: np.ndarray,
    drawn: Sequence[Sequence[Image.Image]],
    real: Sequence[tuple[str, Image.Image]],
) -> list[Score]:
    """Return scores of retrieval, of copies, and of content in another layout.

    Args:
        judge: names images among the classes of `labels`.
        space: with its decoder.
        modality: of the items.
        labels: of each item.
        vectors_NE: of each item.
        drawn: images of each item.
        real: images that weren't learned from, with their classes.
    """
    generator = find_generator(space)
    if generator is None:
        return []
    rows_N1 = generator.find_nearest(torch.from_numpy(vectors_NE), modality)
    task = f"drawing from {modality}"
    found = agree(judge, labels, tiles(generator, rows_N1))
    flat = [image for images in drawn for image in images]
    copied = find_copies(judge, space, generator, flat, [image for _, image in real])
    scores = [
        fraction(task, "of the nearest image learned from (retrieval)", found, labels),
        fraction(task, "copies of images learned from", copied, None),
    ]
    layouts = [image for _, image in real]
    return scores + compose(judge, space, generator, modality, labels, vectors_NE, layouts)


def agree(judge: Judge, labels: Sequence[str], images: Sequence[Image.Image]) -> np.ndarray:
    """Return whether the judge gives each image its label, among all labels."""
    names = sorted(set(labels))
    columns = [judge.names.index(name) for name in names]
    best_N = judge.classify(judge.features(images))[:, columns].argmax(1)
    return np.asarray(best_N == [names.index(label) for label in labels])


def tiles(generator: Generator, rows_NK: torch.Tensor) -> list[Image.Image]:
    """Return thumbnails of images that were learned from."""
    assert generator.thumbnails is not None
    return [generator.thumbnails.tile(int(row)) for row in rows_NK.flatten()]


def find_copies(
    judge: Judge,
    space: Space,
    generator: Generator,
    drawn: Sequence[Image.Image],
    real: Sequence[Image.Image],
) -> np.ndarray:
    """Return whether each drawn image is nearer to one learned from than real ones are.

    Real ones are held out; `COPY_PERCENTILE` of them count as copies.
    """

    def distances(images: Sequence[Image.Image]) -> np.ndarray:
        vectors_NE = torch.from_numpy(space.encode(IMAGE, list(images)))
        rows_NK = generator.find_nearest(vectors_NE, IMAGE, NEAR)
        near_NKD = judge.features(tiles(generator, rows_NK)).reshape(len(images), NEAR, -1)
        seen_ND = judge.features(images)
        return np.asarray(1 - np.einsum("nd,nkd->nk", seen_ND, near_NKD).max(1))

    limit = float(np.percentile(distances(real), COPY_PERCENTILE))
    return np.asarray(distances(drawn) < limit)


def compose(
    judge: Judge,
    space: Space,
    generator: Generator,
    modality: str,
    labels: Sequence[str],
    vectors_NE: np.ndarray,
    layouts: Sequence[Image.Image],
) -> list[Score]:
    """Draw the content of items in the layouts of real images; retrieval has one layout each."""
    count, dim = min(COMPOSED, len(labels)), generator.config.network.where_dim
    chosen = [layouts[-1 - row % len(layouts)] for row in range(count)]
    wanted_ND = _layout(space, chosen, dim)
    mixed_NE = torch.from_numpy(vectors_NE[:count]).clone()
    mixed_NE[:, -dim:] = wanted_ND * mixed_NE[:, -dim:].norm(dim=1, keepdim=True).clamp(min=0.5)
    mixed_NE = F.normalize(mixed_NE, dim=1)
    drawn = [images[0] for images in space.generate(mixed_NE.numpy(), modality=modality, n=1)]
    rows_N1 = generator.find_nearest(mixed_NE, modality)
    task, own = f"drawing from {modality}", labels[:count]
    found_ND = generator.images.where_MD[rows_N1[:, 0]]
    cosines = {
        "composition: cosine of the layout": (_layout(space, drawn, dim) * wanted_ND).sum(1),
        "composition: cosine of the layout, retrieval": (found_ND * wanted_ND).sum(1),
    }
    return [
        fraction(task, "composition: class agreement", agree(judge, own, drawn), labels),
        *(
            Score(task=task, metric=name, value=float(value.mean()), chance=0.0)
            for name, value in cosines.items()
        ),
    ]


def fraction(task: str, metric: str, right: np.ndarray, labels: Sequence[str] | None) -> Score:
    """Return the fraction of right images; chance is that of the classes, or of copies."""
    value = float(right.mean())
    return Score(
        task=task,
        metric=metric,
        value=value,
        chance=COPY_PERCENTILE / 100 if labels is None else 1 / len(set(labels)),
        interval=fraction_interval(value, len(right)),
        count=len(right),
    )


def _layout(space: Space, images: Sequence[Image.Image], dim: int) -> torch.Tensor:
    return F.normalize(torch.from_numpy(space.encode(IMAGE, list(images)))[:, -dim:], dim=1)
