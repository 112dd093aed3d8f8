"""Measures of drawn images, on features that an independent judge sees in them.

Features are unit vectors of a network that is no part of the space; `openbind.evaluation.judge` has
the one that ships.
"""

from __future__ import annotations

import numpy as np

COPY_PERCENTILE = 1.0
"""Of the distances of held-out images to the nearest training image: a copy is nearer."""


def kernel_distance(a_ND: np.ndarray, b_MD: np.ndarray) -> float:
    """Return the squared kernel distance of two sets, about 0 if they are of one distribution.

    The unbiased estimate with the kernel (cosine + 1)³, as KID (Bińkowski et al. 2018,
    arXiv:1801.01401), on unit vectors.

    Args:
        a_ND, b_MD: unit vectors of at least two images each.
    """
    aa, bb, ab = ((x @ y.T + 1.0) ** 3 for x, y in ((a_ND, a_ND), (b_MD, b_MD), (a_ND, b_MD)))
    inside = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (aa, bb)]
    return float(sum(inside) - 2 * ab.mean())


def copied_fraction(drawn_ND: np.ndarray, held_ND: np.ndarray, trained_MD: np.ndarray) -> float:
    """Return the fraction of drawn images that are nearer to a training image than others are.

    Args:
        drawn_ND: of drawn images.
        held_ND: of real images that weren't learned from; `COPY_PERCENTILE` of them count as
            copies.
        trained_MD: of the images that were learned from.
    """
    limit = np.percentile(1 - (held_ND @ trained_MD.T).max(1), COPY_PERCENTILE)
    return float((1 - (drawn_ND @ trained_MD.T).max(1) < limit).mean())


def diversity(drawn_NSD: np.ndarray) -> float:
    """Return the mean distance, 1 - cosine, of images of one condition and S seeds."""
    seeds = drawn_NSD.shape[1]
    cosine_NSS = np.einsum("nsd,ntd->nst", drawn_NSD, drawn_NSD)
    off = cosine_NSS.sum((1, 2)) - np.einsum("nss->n", cosine_NSS)
    return float(1 - (off / (seeds * (seeds - 1))).mean())


def shuffle(count: int, seed: int = 0) -> np.ndarray:
    """Return an order of `count` conditions in which none stays in its place."""
    order = np.random.default_rng(seed).permutation(count)
    shifted = np.empty(count, np.int64)
    shifted[order] = np.roll(order, 1)
    return shifted
