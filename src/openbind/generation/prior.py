"""From any modality's vector to what the network was trained on: vectors of images.

A vector of a sound or a text isn't where vectors of images are, even when it means the same. So it
is centered by its modality's mean, moved to where many training images are, and then replaced by
the mean of the nearest ones' vectors, weighted by a softmax of their cosines: by construction there
is no gap left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch.nn import functional as F

from openbind.configs import Range
from openbind.generation.network import Condition


@dataclass(frozen=True, kw_only=True)
class PriorSettings:
    """How a vector becomes a condition; chosen on held-out items (recipes/starter/generator).

    Args:
        center: fraction of the modality's mean that is subtracted.
        wide_count, wide_temperature: of a first average, which the vector moves halfway to.
        count: nearest images that are averaged.
        temperature: of the softmax over their cosines.
        share: of the average in the content; the rest is the vector itself.
        sigma: noise that the content is said to have.
        layout: whether the layout is averaged likewise, where the vector has none.
    """

    center: Annotated[float, Range(0, 1)] = 0.5
    wide_count: Annotated[int, Range(1, 1024)] = 16
    wide_temperature: Annotated[float, Range(1e-3, 10)] = 0.05
    count: Annotated[int, Range(1, 1024)] = 8
    temperature: Annotated[float, Range(1e-3, 10)] = 0.03
    share: Annotated[float, Range(0, 1)] = 1.0
    sigma: Annotated[float, Range(0, 10)] = 0.0
    layout: bool = True


@dataclass(frozen=True, kw_only=True)
class ImageVectors:
    """Vectors of the images that were learned from.

    Args:
        what_MD: unit vectors of their contents, centered.
        where_MD: unit vectors of their layouts.
    """

    what_MD: torch.Tensor
    where_MD: torch.Tensor


def find_condition(
    what_BD: torch.Tensor,
    where_BD: torch.Tensor,
    images: ImageVectors,
    settings: PriorSettings,
    near: int,
) -> Condition:
    """Return what the network is told.

    Args:
        what_BD: unit vectors of the content, centered by their modality's mean.
        where_BD: layouts; zeros have none.
        images: learned from.
        settings: of the modality.
        near: images whose contents the network is told too.
    """
    wide = (settings.wide_count, settings.wide_temperature)
    moved_BD = F.normalize(what_BD + average(what_BD, images, *wide)[0], dim=1)
    average_BD, layout_BD = average(moved_BD, images, settings.count, settings.temperature)
    has_layout_B = where_BD.norm(dim=1) > 1e-3
    mixed_BD = settings.share * average_BD + (1 - settings.share) * what_BD
    yes_B = torch.ones_like(has_layout_B)
    return Condition(
        what_BD=F.normalize(mixed_BD, dim=1),
        where_BD=torch.where(has_layout_B[:, None], F.normalize(where_BD, dim=1), layout_BD),
        sigma_B=torch.full((len(what_BD),), settings.sigma),
        near_BKD=images.what_MD[(moved_BD @ images.what_MD.T).topk(near, dim=1).indices],
        known_B3=torch.stack([yes_B, has_layout_B | settings.layout, yes_B], dim=1),
    )


def average(
    what_BD: torch.Tensor, images: ImageVectors, count: int, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return unit averages of the nearest images' contents, and of their layouts."""
    cosine_BM = what_BD @ images.what_MD.T
    best_BK, index_BK = cosine_BM.topk(min(count, len(images.what_MD)), dim=1)
    weight_BK1 = (best_BK / temperature).softmax(dim=1)[..., None]
    content_BD, layout_BD = (
        F.normalize((weight_BK1 * part_MD[index_BK]).sum(1), dim=1)
        for part_MD in (images.what_MD, images.where_MD)
    )
    return content_BD, layout_BD
