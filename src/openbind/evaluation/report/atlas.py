"""All embeddings on a plane: t-SNE, by scikit-learn."""

from __future__ import annotations

import numpy as np

from openbind.errors import InputError, MissingExtraError

PERPLEXITY = 30.0
"""Neighbors that t-SNE keeps near (van der Maaten and Hinton 2008: 5 to 50)."""


def project(vectors_NE: np.ndarray, seed: int) -> np.ndarray:
    """Lay unit vectors out on a plane, those with a high cosine near each other.

    Args:
        vectors_NE: two or more.
        seed: decides the layout.

    Returns:
        (n, 2) float64 in 0..1.

    Raises:
        InputError: fewer than two.
        MissingExtraError: scikit-learn isn't there.
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise MissingExtraError("the map of all embeddings", "sklearn", "report") from error
    if len(vectors_NE) < 2:
        raise InputError(vectors_NE, "a map needs at least two items")
    layout = TSNE(
        perplexity=min(PERPLEXITY, max(1.0, (len(vectors_NE) - 1) / 3)),
        init="pca" if len(vectors_NE) > 2 else "random",
        random_state=seed,
    )
    places_N2 = layout.fit_transform(vectors_NE.astype(np.float32)).astype(np.float64)
    low, high = places_N2.min(axis=0), places_N2.max(axis=0)
    placed: np.ndarray = (places_N2 - low) / np.where(high > low, high - low, 1.0)
    return placed
