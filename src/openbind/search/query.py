"""Queries of several terms, and exact ranking by cosine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from openbind.space.space import Space
from openbind.space.vectors import combine


@dataclass(frozen=True)
class Term:
    """One term of a query: an item of a modality, and its weight (negative subtracts)."""

    modality: str
    item: Any
    weight: float = 1.0


def common_modality(terms: Sequence[Term]) -> str | None:
    """Return the modality of all terms of a query; None for sums of several, and differences."""
    modalities = {term.modality for term in terms}
    is_plain = len(modalities) == 1 and all(term.weight > 0 for term in terms)
    return terms[0].modality if is_plain else None


def embed_query(space: Space, terms: Sequence[Term]) -> np.ndarray:
    """Return the normalized weighted sum of the terms' vectors.

    Returns:
        (dim,) float32 of unit norm.

    Raises:
        InputError: no terms, a term can't be embedded, or the sum is zero.
    """
    return combine([(space.encode(term.modality, [term.item])[0], term.weight) for term in terms])


def nearest(query_E: np.ndarray, items_KE: np.ndarray, count: int) -> list[tuple[int, float]]:
    """Rank rows by cosine to the query.

    Args:
        query_E: unit vector.
        items_KE: unit rows.
        count: number of results at most.

    Returns:
        (row, cosine) pairs in descending order; ties in the order of the rows.
    """
    scores_K = items_KE @ query_E
    order = np.argsort(-scores_K, kind="stable")[:count]
    return [(int(row), float(scores_K[row])) for row in order]
