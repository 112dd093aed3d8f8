"""Differences between spaces: counted by hand, and chance as SciPy has it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest, chi2

from openbind.evaluation.compare import compare, grouped_sign_test, sign_test
from openbind.evaluation.metrics import fraction_interval
from openbind.evaluation.results import Ranking, Score, SuiteResult


def make_result(ranks: list[int], excluded: tuple[str, ...] = ()) -> SuiteResult:
    """A search with R@1 and R@5, and a number without pairs."""
    rank_Q = np.array(ranks)
    scores = [
        Score(
            task="x → y",
            metric=f"R@{depth}",
            value=float((rank_Q <= depth).mean()),
            chance=0.1,
            interval=fraction_interval(float((rank_Q <= depth).mean()), len(rank_Q)),
            count=len(rank_Q),
        )
        for depth in (1, 5)
    ]
    median = Score(task="x → y", metric="median rank", value=float(np.median(rank_Q)), chance=5)
    return SuiteResult(
        suite="s",
        space="space",
        scores=(*scores, median),
        published=(),
        excluded=dict.fromkeys(excluded, "broken"),
        overlaps=(),
        rankings=(Ranking(task="x → y", rank_Q=rank_Q),),
    )


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (3, 0), (5, 5), (12, 3), (700, 640)])
def test_sign_test_agrees_with_scipy(wins: int, losses: int) -> None:
    """The exact two-sided binomial test at one half."""
    expected = binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert sign_test(wins, losses) == pytest.approx(expected)
    assert sign_test(losses, wins) == sign_test(wins, losses)


def test_pairs() -> None:
    """Of eight queries five are won and none lost at rank 1; at 5 all are found by both."""
    first = make_result([2, 3, 4, 5, 2, 1, 2, 3])
    second = make_result([1, 1, 1, 1, 1, 1, 2, 3])
    at_1, at_5, median = (compare(first, second, score) for score in first.scores)
    assert at_1 is not None
    assert (at_1.value, at_1.p) == (0.625, pytest.approx(2 / 2**5))
    assert at_5 is not None
    assert (at_5.value, at_5.p, at_5.apart) == (0, 1, False)
    assert median is not None
    assert (median.value, median.p, median.apart) == (-1.5, None, None)


def test_pairs_of_one_recording() -> None:
    """Five captions of each recording that move together are evidence of one."""
    group_Q = np.repeat(np.arange(8), 5)
    first, second = make_result([2] * 40), make_result([1] * 40)
    alone = compare(first, second, first.scores[0])
    assert alone is not None
    assert alone.p == pytest.approx(2 / 2**40)
    ranking = replace(first.rankings[0], group_Q=group_Q)
    together = compare(replace(first, rankings=(ranking,)), second, first.scores[0])
    assert together is not None
    assert together.p == pytest.approx(chi2.sf(8, 1))


def test_grouped_sign_test() -> None:
    """Groups of one give McNemar's test; no difference has p 1."""
    difference_Q = np.array([1] * 12 + [-1] * 3 + [0] * 9)
    expected = chi2.sf((12 - 3) ** 2 / 15, 1)
    assert grouped_sign_test(difference_Q, np.arange(24)) == pytest.approx(expected)
    assert grouped_sign_test(0 * difference_Q, np.arange(24)) == 1


def test_other_items() -> None:
    """Spaces measured on different items have no paired test; the intervals still tell."""
    first = make_result([1] * 40)
    for second in (make_result([9] * 40, excluded=("a.wav",)), make_result([9] * 39)):
        found = compare(first, second, first.scores[0])
        assert found is not None
        assert (found.value, found.p, found.apart) == (-1, None, True)


def test_missing_number() -> None:
    """A number that the other doesn't have has no difference."""
    first = make_result([1, 2])
    other = Score(task="y → x", metric="R@1", value=1, chance=0)
    assert compare(first, first, other) is None
