"""Queries of several parts, and the nearest rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from openbind.space.space import Space
from openbind.space.vectors import combine


@dataclass(frozen=True)
class Term:
    """One part of a query: something of a modality, and its weight (negative subtracts)."""

    modality: str
    item: Any
    weight: float = 1.0


def embed_query(space: Space, parts: Sequence[Term]) -> np.ndarray:
    """Embed the parts and add them with their weights.

    Returns:
        (dim,) float32, unit length.

    Raises:
        InputError: a part can't be used.
        ValueError: no parts, or parts that cancel each other.
    """
    return combine([(space.encode(part.modality, [part.item])[0], part.weight) for part in parts])


def nearest(query_E: np.ndarray, items_KE: np.ndarray, count: int) -> list[tuple[int, float]]:
    """Rank rows by cosine to the query.

    Args:
        query_E: unit vector.
        items_KE: unit rows.
        count: how many at most.

    Returns:
        (row, cosine) pairs, the nearest first; equal ones in the order of their rows.
    """
    scores_K = items_KE @ query_E
    order = np.argsort(-scores_K, kind="stable")[:count]
    return [(int(row), float(scores_K[row])) for row in order]
