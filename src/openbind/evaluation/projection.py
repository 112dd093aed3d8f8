"""Maps of embeddings on a plane, by scikit-learn's t-SNE or PCA."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from openbind.errors import InputError, MissingExtraError
from openbind.space.vectors import unit_rows

Method = Literal["tsne", "pca"]
PERPLEXITY = 30.0
"""Effective number of neighbors (van der Maaten and Hinton 2008: 5 to 50)."""


def center(vectors_NE: np.ndarray) -> np.ndarray:
    """Subtract the mean and normalize the rows; a single row becomes zero."""
    return unit_rows(vectors_NE - vectors_NE.mean(axis=0, dtype=np.float64))


def center_modalities(modalities: Sequence[str], vectors_NE: np.ndarray) -> np.ndarray:
    """Center each modality by itself; without that each is an island on a map.

    Args:
        modalities: of the rows.
        vectors_NE: unit rows.

    Returns:
        (n, dim) float32 of unit length; zero for a modality of one row.
    """
    centered_NE = np.zeros(vectors_NE.shape, np.float32)
    names = np.asarray(modalities)
    for name in set(modalities):
        centered_NE[names == name] = center(vectors_NE[names == name])
    return centered_NE


def project(vectors_NE: np.ndarray, method: Method = "tsne", seed: int = 0) -> np.ndarray:
    """Project unit vectors to a plane.

    Args:
        vectors_NE: two or more.
        method: "tsne" keeps neighbors together; "pca", the two directions of greatest variance,
            takes milliseconds.
        seed: of the layout.

    Returns:
        (n, 2) float64 in 0..1.

    Raises:
        InputError: fewer than two vectors.
        MissingExtraError: scikit-learn isn't installed.
    """
    if len(vectors_NE) < 2:
        raise InputError(vectors_NE, "a map needs at least two items")
    try:
        from sklearn.decomposition import PCA
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise MissingExtraError("a map of embeddings", "sklearn", "report") from error
    if method == "tsne":
        layout = TSNE(
            perplexity=min(PERPLEXITY, max(1.0, (len(vectors_NE) - 1) / 3)),
            init="pca" if len(vectors_NE) > 2 else "random",
            random_state=seed,
        )
        points_N2 = layout.fit_transform(vectors_NE.astype(np.float32)).astype(np.float64)
    else:
        points_N2 = PCA(2, random_state=seed).fit_transform(vectors_NE.astype(np.float64))
    low, high = points_N2.min(axis=0), points_N2.max(axis=0)
    scaled: np.ndarray = (points_N2 - low) / np.where(high > low, high - low, 1.0)
    return scaled
