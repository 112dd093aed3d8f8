"""Compare two spaces on one suite: differences and their significance."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from openbind.evaluation.results import Score, SuiteResult


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Difference of one score between two spaces.

    Args:
        value: the second's minus the first's.
        p: of the sign test over queries that only one space gets right, or, where several are of
            one recording, of its form for groups; None where the two spaces weren't measured on
            the same queries.
        apart: whether the 95 % intervals are disjoint, a stricter test; None without intervals.
    """

    value: float
    p: float | None
    apart: bool | None


def compare(first: SuiteResult, second: SuiteResult, score: Score) -> Difference | None:
    """Compare two spaces' results in one score.

    Args:
        first, second: of one suite.
        score: one of the first's.

    Returns:
        None where the second lacks that score.
    """
    other = second.score_of(score.task, score.metric)
    if other is None:
        return None
    apart = None
    if score.interval and other.interval:
        apart = score.interval[1] < other.interval[0] or other.interval[1] < score.interval[0]
    return Difference(
        value=other.value - score.value, p=_test_pairs(first, second, score), apart=apart
    )


def sign_test(wins: int, losses: int) -> float:
    """Return the two-sided p of a split under equal odds (McNemar's exact test).

    Args:
        wins, losses: queries that one side alone gets right; ties don't count.
    """
    total, fewer = wins + losses, min(wins, losses)
    logs = [
        math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1)
        for k in range(fewer + 1)
    ]
    tail = float(np.exp(np.array(logs) - total * math.log(2)).sum())
    return min(1.0, 2 * tail)


def grouped_sign_test(difference_Q: np.ndarray, group_Q: np.ndarray) -> float:
    """Return the two-sided p of differences whose groups are independent (Durkalski et al. 2003).

    Asymptotic: with each query a group of its own it is McNemar's test without correction.

    Args:
        difference_Q: 1 for a query that the second space alone gets right, -1 for the first, or 0.
        group_Q: an integer for each query.
    """
    sums = np.bincount(np.unique(group_Q, return_inverse=True)[1], difference_Q)
    spread = float((sums**2).sum())
    return math.erfc(abs(float(sums.sum())) / math.sqrt(2 * spread)) if spread else 1.0


def _test_pairs(first: SuiteResult, second: SuiteResult, score: Score) -> float | None:
    depth = _depth(score.metric)
    own = [
        ranking
        for result in (first, second)
        for ranking in result.rankings
        if ranking.task == score.task
    ]
    ranks = [ranking.rank_Q for ranking in own]
    if depth is None or len(ranks) != 2 or len(ranks[0]) != len(ranks[1]):
        return None
    if first.excluded.keys() != second.excluded.keys():
        return None
    one_Q, other_Q = (rank_Q <= depth for rank_Q in ranks)
    if own[0].group_Q is not None:
        return grouped_sign_test(other_Q.astype(int) - one_Q, own[0].group_Q)
    return sign_test(int((other_Q & ~one_Q).sum()), int((one_Q & ~other_Q).sum()))


def _depth(metric: str) -> int | None:
    """Return the rank up to which a metric counts a query as right; None if it doesn't."""
    if metric == "accuracy":
        return 1
    match = re.fullmatch(r"(?:R@|top-)(\d+)(?: accuracy)?", metric)
    return int(match[1]) if match else None
