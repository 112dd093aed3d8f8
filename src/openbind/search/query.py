"""Queries of several terms, and exact ranking, by cosine or by calibrated cosine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from openbind.space.calibration import Unrelated, combine_unrelated
from openbind.space.card import Card
from openbind.space.vectors import combine

if TYPE_CHECKING:
    from openbind.space.space import Space


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


@dataclass(frozen=True)
class Found:
    """A row that was found.

    Args:
        row: its place.
        cosine: to the query.
        deviations: standard deviations above the cosines of unrelated items; None if they aren't
            known.
        close: whether they exceed what unrelated items reach by chance; None as well.
    """

    row: int
    cosine: float
    deviations: float | None = None
    close: bool | None = None


def embed_terms(space: Space, terms: Sequence[Term]) -> list[Term]:
    """Return terms with vectors as their items.

    Raises:
        InputError: a term can't be embedded.
    """
    vectors = [space.encode(term.modality, [term.item])[0] for term in terms]
    return [Term(t.modality, v, t.weight) for t, v in zip(terms, vectors, strict=True)]


def embed_query(space: Space, terms: Sequence[Term]) -> np.ndarray:
    """Return the normalized weighted sum of the terms' vectors.

    Returns:
        (dim,) float32 of unit norm.

    Raises:
        InputError: no terms, a term can't be embedded, or the sum is zero.
    """
    return combine([(term.item, term.weight) for term in embed_terms(space, terms)])


def expect_unrelated(card: Card, terms: Sequence[Term]) -> dict[str, Unrelated]:
    """Return what cosines to expect of items that have nothing to do with a query.

    Args:
        card: of the space.
        terms: with vectors as their items, as from `embed_terms`; their sum isn't zero.

    Returns:
        modality of items → cosines; without those that the card doesn't know for each term.
    """
    found = {}
    for modality in {name for own in card.unrelated for name in own.modalities}:
        pairs = [card.find_unrelated(term.modality, modality) for term in terms]
        known = [pair for pair in pairs if pair is not None]
        if len(known) == len(terms):
            items = [(np.asarray(term.item), term.weight) for term in terms]
            parts = [(*item, pair) for item, pair in zip(items, known, strict=True)]
            found[modality] = combine_unrelated(parts)
    return found


def rank(
    query_E: np.ndarray,
    items_KE: np.ndarray,
    modalities: Sequence[str],
    count: int,
    unrelated: Mapping[str, Unrelated],
) -> list[Found]:
    """Rank rows of several modalities; comparably, if cosines of unrelated items are known.

    Args:
        query_E: unit vector.
        items_KE: unit rows.
        modalities: of the rows.
        count: number of results at most.
        unrelated: see `expect_unrelated`; if a modality is missing, rows are ranked by cosine.

    Returns:
        best first; ties in the order of the rows.
    """
    scores_K, names_K = items_KE @ query_E, np.asarray(modalities)
    above_K, limits = np.full(len(scores_K), np.nan), dict[str, float]()
    for modality in unrelated.keys() & set(modalities):
        own_K = names_K == modality
        above_K[own_K] = unrelated[modality].calibrate(scores_K[own_K])
        limits[modality] = unrelated[modality].threshold(int(own_K.sum()))
    order_K = scores_K if np.isnan(above_K).any() else above_K
    return [
        Found(int(row), float(scores_K[row]))
        if np.isnan(above_K[row])
        else Found(
            int(row),
            float(scores_K[row]),
            float(above_K[row]),
            bool(above_K[row] > limits[modalities[row]]),
        )
        for row in np.argsort(-order_K, kind="stable")[:count]
    ]
