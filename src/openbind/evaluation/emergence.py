"""Cross-modal alignment: every modality searched by every other, trained together or not.

Items are searched within their data set. Relevant to a query are the items of the same scene where
the set has scenes on both sides, those of the same class elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Literal

import numpy as np

from openbind.errors import InputError
from openbind.evaluation.collection import EmbeddedItems, relevance, share_scenes
from openbind.evaluation.metrics import (
    bootstrap_interval,
    chance_median_rank,
    chance_recall_at,
    fraction_interval,
)
from openbind.evaluation.projection import center
from openbind.evaluation.results import Score
from openbind.evaluation.retrieval import RANKS
from openbind.space.space import Space

HUB_NEIGHBORS = 10
"""Neighbors counted for hubness (Radovanović et al. 2010, JMLR 11, use k = 10)."""
SHUFFLES = 100
"""Permutations of the control; its numbers are means over them."""


@dataclass(frozen=True, kw_only=True)
class Pool:
    """One data set's part in a cell.

    Args:
        set: its name.
        relevance: whether items of the same scene or of the same class are relevant.
        queries: those with a relevant item.
        items: searched by each query.
    """

    set: str
    relevance: Literal["scene", "class"]
    queries: int
    items: int


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One modality searched by another.

    Args:
        query, target: names of the modalities.
        trained: whether they were trained together; otherwise their alignment is emergent.
        pools: what it was measured on.
        raw: R@1, R@5, R@10, mAP and median rank, with chance and 95 % intervals; ranks as deep as
            there are items are skipped.
        centered: the same with each side mean-centered within a data set, by the means of the
            very items that are measured.
        shuffled: the control: as `raw` with relevance labels permuted, which must give chance; its
            intervals hold 95 % of the permutations.
        gap: distance of the two modalities' mean vectors within a data set, 0..2 (Liang et al.
            2022, NeurIPS); of several sets the mean, weighted by their queries.
        hubness: skewness of how often each target is among the 10 nearest of a query in its data
            set; 0 is even, above 1 a few targets are near everything. Of several sets the mean,
            weighted likewise, of those with more than 10 targets; None if none has.
    """

    query: str
    target: str
    trained: bool
    pools: tuple[Pool, ...]
    raw: tuple[Score, ...]
    centered: tuple[Score, ...]
    shuffled: tuple[Score, ...]
    gap: float
    hubness: float | None

    @property
    def count(self) -> int:
        """Queries with a relevant item."""
        return sum(pool.queries for pool in self.pools)


def measure_emergence(
    embedded: Sequence[EmbeddedItems],
    trained_pairs: Collection[tuple[str, str]],
    generator: np.random.Generator,
) -> tuple[Cell, ...]:
    """Measure every modality searched by every other.

    Args:
        embedded: one for each modality, with vectors of one space.
        trained_pairs: modalities that were trained together, in either order.
        generator: permutes the control's relevance labels.

    Returns:
        cells in the order of the modalities; pairs without relevant items have none.

    Raises:
        InputError: a modality comes twice, or vectors have different dimensions.
    """
    names = [some.modality for some in embedded]
    if len(set(names)) < len(names):
        raise InputError(", ".join(names), "expected each modality once")
    dims = {some.modality: some.vectors_NE.shape[1] for some in embedded}
    if len(set(dims.values())) > 1:
        raise InputError("vectors", f"expected those of one space, found the dimensions {dims}")
    cells = []
    for query, target in permutations(embedded, 2):
        pair = (query.modality, target.modality)
        trained = pair in trained_pairs or pair[::-1] in trained_pairs
        cell = measure_cell(query, target, trained, generator)
        if cell is not None:
            cells.append(cell)
    return tuple(cells)


def measure_cell(
    query: EmbeddedItems, target: EmbeddedItems, trained: bool, generator: np.random.Generator
) -> Cell | None:
    """Measure one modality searched by another.

    Args:
        query, target: of two modalities.
        trained: whether they were trained together.
        generator: permutes the control's relevance labels.

    Returns:
        None if no query has a relevant item in its data set.
    """
    pools: list[Pool] = []
    searches: list[_Search] = []
    centered: list[_Search] = []
    gaps: list[float] = []
    hubs: list[float | None] = []
    for name in sorted({*query.sets} & {*target.sets}):
        some, others = query.of_set(name), target.of_set(name)
        by_scene = share_scenes(some.items, others.items)
        relevant_QK = relevance(some.items, others.items, by_pair=by_scene)
        answerable = relevant_QK.any(axis=1)
        if not answerable.any():
            continue
        pools.append(
            Pool(
                set=name,
                relevance="scene" if by_scene else "class",
                queries=int(answerable.sum()),
                items=len(others.items),
            )
        )
        for found, change in ((searches, np.asarray), (centered, center)):
            scores_QK = change(some.vectors_NE)[answerable] @ change(others.vectors_NE).T
            found.append(_Search.of(scores_QK, relevant_QK[answerable]))
        gaps.append(modality_gap(some.vectors_NE, others.vectors_NE))
        hubs.append(hubness(some.vectors_NE @ others.vectors_NE.T, HUB_NEIGHBORS))
    if not pools:
        return None
    name = f"{query.modality} → {target.modality}"
    return Cell(
        query=query.modality,
        target=target.modality,
        trained=trained,
        pools=tuple(pools),
        raw=_scores(name, searches),
        centered=_scores(name, centered),
        shuffled=_control(name, searches, generator),
        gap=_mean_of_pools(gaps, pools) or 0.0,
        hubness=_mean_of_pools(hubs, pools),
    )


def _mean_of_pools(values: Sequence[float | None], pools: Sequence[Pool]) -> float | None:
    """Return the mean weighted by queries, as R@1 weighs data sets; None without a value."""
    known = [(own, p.queries) for own, p in zip(values, pools, strict=True) if own is not None]
    if not known:
        return None
    return sum(own * queries for own, queries in known) / sum(queries for _, queries in known)


def find_trained_pairs(space: Space) -> frozenset[tuple[str, str]]:
    """Return the pairs of modalities that were trained together, in both orders.

    Modalities that share a tower count as one: what was trained with images was trained with
    videos, and images and videos themselves go through one network.
    """
    tower = {name: binding.tower for name, binding in space.config.modalities.items()}
    towers = {frozenset((tower.get(a, a), tower.get(b, b))) for a, b in space.card.trained_pairs}
    together = [
        (a, b)
        for a, b in combinations(tower, 2)
        if tower[a] == tower[b] or frozenset((tower[a], tower[b])) in towers
    ]
    return frozenset([*together, *((b, a) for a, b in together)])


def above_chance(score: Score) -> bool:
    """Return whether a score's whole confidence interval lies above chance."""
    return score.interval is not None and score.interval[0] > score.chance


def modality_gap(a_NE: np.ndarray, b_NE: np.ndarray) -> float:
    """Return the distance between two modalities' mean vectors (Liang et al. 2022), 0..2."""
    return float(np.linalg.norm(a_NE.mean(axis=0, dtype=float) - b_NE.mean(axis=0, dtype=float)))


def hubness(scores_QK: np.ndarray, k: int) -> float | None:
    """Return the skewness of how often items are among the k best (Radovanović et al. 2010).

    Args:
        scores_QK: (queries, items) higher is better.
        k: depth.

    Returns:
        0 where all items are near equally often; None if there are no more than k items.
    """
    items = scores_QK.shape[1]
    if items <= k:
        return None
    nearest_QK = np.argsort(-scores_QK, axis=1, kind="stable")[:, :k]
    times_K = np.bincount(nearest_QK.ravel(), minlength=items).astype(float)
    spread = times_K.std()
    return float((((times_K - times_K.mean()) / spread) ** 3).mean()) if spread > 0 else 0.0


@dataclass(frozen=True)
class _Search:
    """Queries with a relevant item, and the rank of each item for each of them, from 1.

    Args:
        relevant_QK: which items are relevant to which query.
        rows_R, columns_R: the same as indices, query by query.
        rank_QK: rank of each item for each query.
    """

    relevant_QK: np.ndarray
    rows_R: np.ndarray
    columns_R: np.ndarray
    rank_QK: np.ndarray

    @classmethod
    def of(cls, scores_QK: np.ndarray, relevant_QK: np.ndarray) -> _Search:
        order_QK = np.argsort(-scores_QK, axis=1, kind="stable")
        rank_QK = np.empty_like(order_QK)
        ranks_1K = np.arange(1, order_QK.shape[1] + 1)[None]
        np.put_along_axis(rank_QK, order_QK, np.broadcast_to(ranks_1K, order_QK.shape), axis=1)
        rows_R, columns_R = np.nonzero(relevant_QK)
        return cls(relevant_QK, rows_R, columns_R, rank_QK)

    def measure(self, order_K: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the rank of each query's best relevant item, and its average precision.

        Args:
            order_K: a permutation of the items' relevance labels.
        """
        columns_R = self.columns_R if order_K is None else order_K[self.columns_R]
        rank_R = self.rank_QK[self.rows_R, columns_R]
        rank_R = rank_R[np.lexsort((rank_R, self.rows_R))]
        counts_Q = self.relevant_QK.sum(axis=1)
        starts_Q = np.cumsum(counts_Q) - counts_Q
        found_R = np.arange(1, len(rank_R) + 1) - np.repeat(starts_Q, counts_Q)
        return rank_R[starts_Q], np.add.reduceat(found_R / rank_R, starts_Q) / counts_Q

    def permute(self, generator: np.random.Generator) -> np.ndarray:
        """Return a permutation of the items."""
        return generator.permutation(self.relevant_QK.shape[1])


def _measure(
    searches: Sequence[_Search], generator: np.random.Generator | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rank and the average precision of each query of all searches."""
    measured = [
        search.measure(None if generator is None else search.permute(generator))
        for search in searches
    ]
    ranks_Q, precisions_Q = (np.concatenate(parts) for parts in zip(*measured, strict=True))
    return ranks_Q, precisions_Q


def _values(
    searches: Sequence[_Search], generator: np.random.Generator | None = None
) -> dict[str, float]:
    """Measure searches together, all queries weighted equally; with a generator, permuted."""
    ranks, precisions = _measure(searches, generator)
    deepest = max(search.relevant_QK.shape[1] for search in searches)
    recalls = {f"R@{k}": float((ranks <= k).mean()) for k in RANKS if k == 1 or k < deepest}
    median = float(np.median(ranks))
    return {**recalls, "mAP": float(precisions.mean()), "median rank": median}


def _chances(searches: Sequence[_Search]) -> dict[str, float]:
    """Return the expected values for a random order."""
    weights = [len(search.relevant_QK) for search in searches]

    def mean(values: Sequence[float]) -> float:
        return float(np.average(values, weights=weights))

    precisions = []
    for search in searches:
        items, count_Q = search.relevant_QK.shape[1], search.relevant_QK.sum(axis=1)
        # A relevant item is at rank i with probability 1/n; each of the i - 1 items before it is
        # one of the r - 1 others with probability (r - 1) / (n - 1).
        harmonic = (1 / np.arange(1, items + 1)).sum()
        others_Q = (count_Q - 1) / max(items - 1, 1)
        precisions.append(float((harmonic + (items - harmonic) * others_Q).mean()) / items)
    recalls = {
        f"R@{k}": mean([chance_recall_at(s.relevant_QK, k) for s in searches]) for k in RANKS
    }
    median = chance_median_rank([search.relevant_QK for search in searches])
    return {**recalls, "mAP": mean(precisions), "median rank": median}


def _scores(name: str, searches: Sequence[_Search]) -> tuple[Score, ...]:
    chances = _chances(searches)
    ranks_Q, precisions_Q = _measure(searches)
    count = len(ranks_Q)
    intervals = {
        "mAP": bootstrap_interval(count, lambda rows: float(precisions_Q[rows].mean())),
        "median rank": bootstrap_interval(count, lambda rows: float(np.median(ranks_Q[rows]))),
    }
    return tuple(
        Score(
            task=name,
            metric=metric,
            value=value,
            chance=chances[metric],
            interval=intervals.get(metric) or fraction_interval(value, count),
            count=count,
        )
        for metric, value in _values(searches).items()
    )


def _control(
    name: str, searches: Sequence[_Search], generator: np.random.Generator
) -> tuple[Score, ...]:
    draws = [_values(searches, generator) for _ in range(SHUFFLES)]
    chances = _chances(searches)
    count = sum(len(search.relevant_QK) for search in searches)
    return tuple(
        Score(
            task=name,
            metric=metric,
            value=float(np.mean([draw[metric] for draw in draws])),
            chance=chances[metric],
            interval=_middle([draw[metric] for draw in draws]),
            count=count,
        )
        for metric in draws[0]
    )


def _middle(values: Sequence[float]) -> tuple[float, float]:
    """Return what holds 95 % of values."""
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
