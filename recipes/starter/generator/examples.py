"""Gather what the generator learns from: pixels, vectors and neighbors of drawings."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from drawings import Drawings
from learn import Examples
from torch.nn import functional as F

from openbind.generation.prior import ImageVectors

ENLARGED = ("emoji", "clipart")
"""Sources whose drawings are large enough to learn enlarging from."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Vectors of all drawings' variants in their two parts.

    Args:
        what_NVD: unit contents, centered by the mean of those that are learned from.
        where_NVD: unit layouts.
        mean_D: that was subtracted.
    """

    what_NVD: torch.Tensor
    where_NVD: torch.Tensor
    mean_D: torch.Tensor


def split_vectors(vectors_NVE: torch.Tensor, what_dim: int, learned_N: torch.Tensor) -> Parts:
    """Split vectors into contents and layouts.

    Args:
        vectors_NVE: of all drawings' variants.
        what_dim: dimensions of the content.
        learned_N: whether each drawing is learned from.
    """
    what_NVD = F.normalize(vectors_NVE[..., :what_dim], dim=-1)
    mean_D = what_NVD[learned_N].mean((0, 1))
    return Parts(
        what_NVD=F.normalize(what_NVD - mean_D, dim=-1),
        where_NVD=F.normalize(vectors_NVE[..., what_dim:], dim=-1),
        mean_D=mean_D,
    )


def gather_examples(
    drawings: Drawings, parts: Parts, learned_N: torch.Tensor, size: int, near: int
) -> Examples:
    """Return the drawings that are learned from, small, with their neighbors.

    Args:
        drawings: all.
        parts: their vectors.
        learned_N: whether each is learned from.
        size: rows and columns of the small drawings.
        near: how many neighbors each has; it is none of its own.
    """
    what_NVD = parts.what_NVD[learned_N]
    plain_ND = what_NVD[:, 0]
    own_NN = 4 * torch.eye(len(plain_ND))
    nearest = [
        (what_NVD[:, variant] @ plain_ND.T - own_NN).topk(near, dim=1).indices
        for variant in range(what_NVD.shape[1])
    ]
    pixels_NVHWC = torch.from_numpy(drawings.pixels_NVHWC)[learned_N]
    return Examples(
        image_NVCHW=torch.stack([shrink(p, size) for p in pixels_NVHWC.unbind(1)], dim=1),
        what_NVD=what_NVD,
        where_NVD=parts.where_NVD[learned_N],
        near_NVKD=plain_ND[torch.stack(nearest, dim=1)],
    )


def image_vectors(parts: Parts, learned_N: torch.Tensor) -> ImageVectors:
    """Return the vectors that the prior looks for neighbors in: of drawings as they are."""
    return ImageVectors(
        what_MD=parts.what_NVD[learned_N, 0], where_MD=parts.where_NVD[learned_N, 0]
    )


def shrink(pixels_NHWC: torch.Tensor, size: int) -> torch.Tensor:
    """Return small images (N, 3, size, size) uint8, each pixel the mean of those it covers."""
    chunks = pixels_NHWC.permute(0, 3, 1, 2).split(512)
    small = [F.interpolate(chunk.float(), size=(size, size), mode="area") for chunk in chunks]
    return torch.cat(small).round().to(torch.uint8)
