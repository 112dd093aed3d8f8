"""From any modality's vector to what the network was trained on: vectors of images.

A vector of a sound or a text isn't where vectors of images are, even when it means the same. So it
is centered by its modality's mean, moved to where many training images are, and then replaced by
the mean of the nearest ones' vectors, weighted by a softmax of their cosines: by construction there
is no gap left.

Of one meaning there are many images. So the weights are chosen at random for each image that is
drawn, and its layout is that of one of the nearest: an average of layouts is the layout of none.
"""

from __future__ import annotations

from collections.abc import Sequence
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
        layout: whether the layout is that of one of the nearest, where the vector has none.
        spread: of the Gumbel noise on the softmax's logits; 0 draws all images from one condition.
    """

    center: Annotated[float, Range(0, 1)] = 0.5
    wide_count: Annotated[int, Range(1, 1024)] = 16
    wide_temperature: Annotated[float, Range(1e-3, 10)] = 0.05
    count: Annotated[int, Range(1, 1024)] = 8
    temperature: Annotated[float, Range(1e-3, 10)] = 0.03
    share: Annotated[float, Range(0, 1)] = 1.0
    sigma: Annotated[float, Range(0, 10)] = 0.0
    layout: bool = True
    spread: Annotated[float, Range(0, 10)] = 1.0


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
    seeds: Sequence[int],
) -> Condition:
    """Return what the network is told.

    Args:
        what_BD: unit vectors of the content, centered by their modality's mean.
        where_BD: layouts; zeros have none.
        images: learned from.
        settings: of the modality.
        near: images whose contents the network is told too.
        seeds: of what is random, of each row.
    """
    moved_BD = move(what_BD, images, settings)
    count = min(settings.count, len(images.what_MD))
    best_BM, index_BM = (moved_BD @ images.what_MD.T).topk(max(count, near), dim=1)
    index_BK = index_BM[:, :count]
    chance_BK = torch.stack([sample_gumbel(seed, count) for seed in seeds])
    weight_BK = best_BM[:, :count] / settings.temperature + settings.spread * chance_BK
    average_BD = (weight_BK.softmax(dim=1)[..., None] * images.what_MD[index_BK]).sum(1)
    one_B1 = index_BK.gather(1, weight_BK.argmax(dim=1, keepdim=True))
    has_layout_B = where_BD.norm(dim=1) > 1e-3
    mixed_BD = settings.share * F.normalize(average_BD, dim=1) + (1 - settings.share) * what_BD
    yes_B = torch.ones_like(has_layout_B)
    return Condition(
        what_BD=F.normalize(mixed_BD, dim=1),
        where_BD=torch.where(
            has_layout_B[:, None], F.normalize(where_BD, dim=1), images.where_MD[one_B1[:, 0]]
        ),
        sigma_B=torch.full((len(what_BD),), settings.sigma),
        near_BKD=images.what_MD[index_BM[:, :near]],
        known_B3=torch.stack([yes_B, has_layout_B | settings.layout, yes_B], dim=1),
    )


def move(what_BD: torch.Tensor, images: ImageVectors, settings: PriorSettings) -> torch.Tensor:
    """Return unit contents halfway to the average of many of the nearest images' contents."""
    count = min(settings.wide_count, len(images.what_MD))
    best_BK, index_BK = (what_BD @ images.what_MD.T).topk(count, dim=1)
    weight_BK1 = (best_BK / settings.wide_temperature).softmax(dim=1)[..., None]
    average_BD = F.normalize((weight_BK1 * images.what_MD[index_BK]).sum(1), dim=1)
    return F.normalize(what_BD + average_BD, dim=1)


def sample_gumbel(seed: int, count: int) -> torch.Tensor:
    """Return numbers whose addition to logits makes the largest a sample of their softmax."""
    uniform = torch.rand(count, generator=torch.Generator().manual_seed(seed))
    return -(-uniform.clamp(1e-6, 1 - 1e-6).log()).log()
