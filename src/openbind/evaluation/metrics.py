"""Accuracy, recall, ranks and average precision, with chance levels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

RESAMPLES = 500
"""Of a bootstrap."""


def accuracy(scores_QK: np.ndarray, target_Q: np.ndarray) -> float:
    """Return the fraction of rows whose highest score is at their target.

    Args:
        scores_QK: (queries, classes) higher is better.
        target_Q: index of each query's class.
    """
    return float((scores_QK.argmax(axis=1) == target_Q).mean())


def recall_at(scores_QK: np.ndarray, relevant_QK: np.ndarray, k: int) -> float:
    """Return the fraction of queries with a relevant item among their k best (R@k).

    Args:
        scores_QK: (queries, items) higher is better.
        relevant_QK: bool, which items are relevant to which query; queries without any are skipped.
        k: depth.
    """
    answerable = relevant_QK.any(axis=1)
    best = np.argsort(-scores_QK[answerable], axis=1, kind="stable")[:, :k]
    return float(np.take_along_axis(relevant_QK[answerable], best, axis=1).any(axis=1).mean())


def chance_recall_at(relevant_QK: np.ndarray, k: int) -> float:
    """Return R@k of a random order: the mean of 1 - C(items - relevant, k) / C(items, k)."""
    relevant_QK = relevant_QK[relevant_QK.any(axis=1)]
    items, relevant_Q = relevant_QK.shape[1], relevant_QK.sum(axis=1)
    missed_Q = np.ones(len(relevant_Q))
    for drawn in range(min(k, items)):
        missed_Q *= np.clip(items - relevant_Q - drawn, 0, None) / (items - drawn)
    return float((1 - missed_Q).mean())


def accuracy_at(scores_QK: np.ndarray, target_Q: np.ndarray, k: int) -> float:
    """Return the fraction of rows with their target among the k highest scores (top-k)."""
    return recall_at(scores_QK, np.arange(scores_QK.shape[1]) == target_Q[:, None], k)


def ranks(scores_QK: np.ndarray, relevant_QK: np.ndarray) -> np.ndarray:
    """Return the rank of each query's best relevant item, from 1; queries without are skipped.

    Of equal scores the first item comes first, as in `recall_at`.
    """
    answerable = relevant_QK.any(axis=1)
    order = np.argsort(-scores_QK[answerable], axis=1, kind="stable")
    first_Q: np.ndarray = np.take_along_axis(relevant_QK[answerable], order, axis=1).argmax(axis=1)
    return first_Q + 1


def chance_median_rank(relevant: Sequence[np.ndarray]) -> float:
    """Return the median rank of a random order: where half of the queries have a relevant item.

    Args:
        relevant: for each search (Q, K) bool, which items are relevant; at least one per query.
    """
    missed = [np.ones(len(relevant_QK)) for relevant_QK in relevant]
    rank = 0
    while np.concatenate(missed).mean() > 0.5:
        for missed_Q, relevant_QK in zip(missed, relevant, strict=True):
            left, count_Q = relevant_QK.shape[1] - rank, relevant_QK.sum(axis=1)
            missed_Q *= np.clip(left - count_Q, 0, None) / max(left, 1)
        rank += 1
    return float(rank)


def average_precisions(scores_QK: np.ndarray, relevant_QK: np.ndarray) -> np.ndarray:
    """Return the average precision of each column (class), the items ranked by its scores.

    Mean of the precisions at each relevant item's rank, as scikit-learn's
    `average_precision_score`; equal scores share a rank. Columns without a relevant item are
    skipped.
    """
    found = []
    for scores_Q, relevant_Q in zip(scores_QK.T, relevant_QK.T, strict=True):
        if not relevant_Q.any():
            continue
        order = np.argsort(-scores_Q, kind="stable")
        sorted_Q, hits_Q = scores_Q[order], relevant_Q[order].cumsum()
        last_Q = np.searchsorted(-sorted_Q, -sorted_Q, side="right") - 1  # of equal scores
        precision_Q = hits_Q[last_Q] / (last_Q + 1)
        found.append(precision_Q[relevant_Q[order]].mean())
    return np.array(found)


def fraction_interval(fraction: float, count: float) -> tuple[float, float]:
    """Return the 95 % confidence interval of a fraction of `count` trials (Wilson 1927).

    Trials of one recording aren't independent: `effective_count` is how many they are worth.
    """
    z = 1.959964
    middle = (fraction + z**2 / (2 * count)) / (1 + z**2 / count)
    half = (
        z * np.sqrt(fraction * (1 - fraction) / count + z**2 / (4 * count**2)) / (1 + z**2 / count)
    )
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def number_groups(keys: Sequence[str | int]) -> np.ndarray | None:
    """Return an integer for each key, equal for equal keys; None if no two are equal."""
    number_N = np.unique(np.asarray(keys), return_inverse=True)[1]
    return None if len(np.unique(number_N)) == len(number_N) else number_N


def split_by(group_N: np.ndarray) -> list[np.ndarray]:
    """Return the indices of each group's members."""
    order = np.argsort(group_N, kind="stable")
    return np.split(order, np.unique(group_N[order], return_index=True)[1][1:])


def effective_count(right_Q: np.ndarray, group_Q: np.ndarray | None) -> float:
    """Return how many independent trials have the variance of a mean over groups of related ones.

    The variance is that between sums of groups (Kish 1965). Where all trials agree, it is the
    number of groups, which is also the least.

    Args:
        right_Q: whether each trial succeeded.
        group_Q: an integer for each; None if each is a group of its own.
    """
    if group_Q is None:
        return float(len(right_Q))
    number_Q = np.unique(group_Q, return_inverse=True)[1]
    groups = int(number_Q.max()) + 1
    sums = np.bincount(number_Q, right_Q - right_Q.mean())
    spread = float((sums**2).sum()) * groups / max(groups - 1, 1)
    alone = float(right_Q.mean() * (1 - right_Q.mean())) * len(right_Q) ** 2
    if not spread or groups == 1:
        return float(groups)
    return float(np.clip(alone / spread, groups, len(right_Q)))


def bootstrap_interval(
    count: int,
    measure: Callable[[np.ndarray], float],
    resamples: int = RESAMPLES,
    group_N: np.ndarray | None = None,
) -> tuple[float, float]:
    """Return the 95 % interval of any number by drawing its items again (Efron 1979).

    Args:
        count: of the items.
        measure: indices of items, with repetitions → the number.
        resamples: how often they are drawn, always the same way.
        group_N: an integer for each item; groups are drawn whole. None draws items.
    """
    generator = np.random.default_rng(0)
    members = None if group_N is None else split_by(group_N)

    def draw() -> np.ndarray:
        if members is None:
            return generator.integers(count, size=count)
        chosen = generator.integers(len(members), size=len(members))
        return np.concatenate([members[group] for group in chosen])

    drawn = [measure(draw()) for _ in range(resamples)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)
