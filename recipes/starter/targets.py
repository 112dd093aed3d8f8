"""What recordings of sound and motion are to be embedded as: a name, and images of the thing."""

from __future__ import annotations

import torch
from torch.nn import functional as F

NUM_IMAGES = 8
"""Images of a name."""
WEIGHT = 0.3
"""Of a name's images beside the name itself; chosen on parts left out of training."""


def find_images(
    label_E: torch.Tensor, words_NE: torch.Tensor, image_NE: torch.Tensor, count: int
) -> torch.Tensor:
    """Return the rows of the images whose texts and content are nearest to a name.

    Args:
        label_E: unit embedding of the name.
        words_NE: mean embedding of each image's texts.
        image_NE: unit embedding of each image.
        count: how many.
    """
    return (words_NE @ label_E + image_NE @ label_E).topk(count).indices


def make_targets(
    label_KE: torch.Tensor,
    words_NE: torch.Tensor,
    image_NE: torch.Tensor,
    weight: float = WEIGHT,
) -> torch.Tensor:
    """Return the target of each name (K, E): its embedding plus that of its images.

    Args:
        label_KE: unit embeddings of the names.
        words_NE, image_NE: see `find_images`.
        weight: of the images.
    """
    rows = [find_images(label_E, words_NE, image_NE, NUM_IMAGES) for label_E in label_KE]
    seen_KE = torch.stack([image_NE[row].mean(0) for row in rows])
    seen_KE = F.normalize(seen_KE - seen_KE.mean(0), dim=1)
    return F.normalize(label_KE + weight * seen_KE, dim=1)
