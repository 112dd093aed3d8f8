"""What images learn from: features of their views, with captions, names or words (`image.yaml`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from manifests import write_lines
from pairs import Image
from photographs import CAPTIONED, Photograph
from torch.nn import functional as F

from openbind.model.backbones.efficientnet_lite import EfficientNetLite

FOLDER = Path("images")
"""Of the manifests, vectors and features, below the work folder."""
PHRASINGS = ("{}", "a photo of a {}")
"""Of the names of photographs, one of which is drawn at a time."""


def texts_of(photographs: Sequence[Photograph]) -> set[str]:
    """Return all texts whose embeddings the photographs need."""
    return {text for photograph in photographs for text in _phrase(photograph)} | {
        text for photograph in photographs for text in photograph.texts
    }


def _phrase(photograph: Photograph) -> tuple[str, ...]:
    """Return a photograph's captions, or its name in all phrasings."""
    if photograph.set == CAPTIONED:
        return photograph.texts
    return tuple(phrasing.format(name) for name in photograph.texts for phrasing in PHRASINGS)


def start_image_tower(tower: EfficientNetLite, names_KE: torch.Tensor) -> None:
    """Let a tower embed images as the mixture of class names, with a projection of zero.

    Args:
        tower: a converted backbone.
        names_KE: centered embeddings of the class names, not normalized: less distinct names, which
            are near the center, have less influence.
    """
    with torch.no_grad():
        tower.mixture.weight.copy_(names_KE.T)
        tower.projection.weight.zero_()
        tower.projection.bias.zero_()


def write_photographs(
    work: Path,
    photographs: Sequence[Photograph],
    features_NVD: torch.Tensor,
    embedding: Mapping[str, torch.Tensor],
) -> None:
    """Write the manifests of captioned and of named photographs.

    Args:
        work: the folder.
        photographs: N, those of the test part too, in a split of its own; without those that ship
            in a held-out set.
        features_NVD: of V views of each.
        embedding: text → unit embedding.
    """
    texts = sorted(texts_of(photographs))
    row = {text: number for number, text in enumerate(texts)}
    _save(work, "texts", torch.stack([embedding[text] for text in texts]))
    cells = _save_views(work, "photographs", features_NVD)
    lines: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for photograph, cell in zip(photographs, cells, strict=True):
        if photograph.held_out:
            continue
        line: dict[str, Any] = {
            "image.features": cell,
            "text.vector": [f"{FOLDER}/texts.npy#{row[text]}" for text in _phrase(photograph)],
            "split": "test" if photograph.tested else "train",
        }
        is_captioned = photograph.set == CAPTIONED
        if not is_captioned:
            line |= {"label": f"{photograph.set}: {photograph.texts[0]}", "weight": 0}
        lines[is_captioned].append(line)
    write_lines(work / FOLDER / "captioned.jsonl", lines[True])
    write_lines(work / FOLDER / "named.jsonl", lines[False])


def write_drawings(
    work: Path, drawn_KVD: torch.Tensor, words_KE: torch.Tensor, tested: Sequence[bool]
) -> None:
    """Write the manifest of drawings.

    Args:
        work: the folder.
        drawn_KVD: features of V views of each.
        words_KE: the mean of each one's words (`mean_words`).
        tested: whether each belongs to the test part.
    """
    _save(work, "words", words_KE)
    cells = _save_views(work, "drawings", drawn_KVD)
    lines = [
        {
            "image.features": cell,
            "text.vector": f"{FOLDER}/words.npy#{row}",
            "split": "test" if is_tested else "train",
            "weight": 0,
        }
        for row, (cell, is_tested) in enumerate(zip(cells, tested, strict=True))
    ]
    write_lines(work / FOLDER / "drawn.jsonl", lines)


def write_classes(work: Path, names_KE: torch.Tensor) -> None:
    """Write the manifest of the classifier's names, which images keep."""
    _save(work, "classes", names_KE)
    rows = range(len(names_KE))
    lines = ({"text.vector": f"{FOLDER}/classes.npy#{row}"} for row in rows)
    write_lines(work / FOLDER / "classes.jsonl", lines)


def _save_views(work: Path, name: str, features_NVD: torch.Tensor) -> Iterator[list[str]]:
    """Write features; return the cell of each image, with all its views."""
    count, views = features_NVD.shape[:2]
    _save(work, name, features_NVD.flatten(0, 1))
    return (
        [f"{FOLDER}/{name}.npy#{row * views + view}" for view in range(views)]
        for row in range(count)
    )


def _save(work: Path, name: str, rows: torch.Tensor) -> None:
    (work / FOLDER).mkdir(parents=True, exist_ok=True)
    np.save(work / FOLDER / f"{name}.npy", rows.numpy())


def mean_words(images: Sequence[Image], embedding: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return words_KE: the normalized weighted mean of each image's text embeddings."""
    rows = []
    for image in images:
        texts_NE = torch.stack([embedding[text] for text, _ in image.texts])
        weight_N1 = torch.tensor([[weight] for _, weight in image.texts])
        rows.append((texts_NE * weight_N1).sum(0))
    return F.normalize(torch.stack(rows), dim=1)


def mean_texts(
    photographs: Sequence[Photograph], embedding: Mapping[str, torch.Tensor]
) -> torch.Tensor:
    """Return words_NE: the normalized mean of each photograph's text embeddings."""
    rows = [torch.stack([embedding[text] for text in p.texts]).mean(0) for p in photographs]
    return F.normalize(torch.stack(rows), dim=1)
