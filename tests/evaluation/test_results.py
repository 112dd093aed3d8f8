"""Results are looked up by task and metric, and grouped by suite."""

from __future__ import annotations

import pytest

from openbind.evaluation.results import (
    Published,
    Score,
    SuiteResult,
    group_by_suite,
    unique_scores,
)


def make_result(suite: str, space: str, *metrics: str) -> SuiteResult:
    """A result with a score for each metric."""
    scores = (Score(task="t", metric=metric, value=0.5, chance=0.1) for metric in metrics)
    published = Published(task="t", metric="R@1", value=0.7, where="Table 1")
    return SuiteResult(suite=suite, space=space, scores=tuple(scores), published=(published,))


def test_lookups() -> None:
    """None where there is no such score, or no number of a paper."""
    result = make_result("s", "one", "R@1", "R@5")
    first, second = result.scores
    assert result.score_of("t", "R@5") is second
    assert result.score_of("u", "R@5") is None
    assert result.published_for(first) is result.published[0]
    assert result.published_for(second) is None


@pytest.mark.parametrize(
    ("published", "found", "expected"),
    [
        ((2_000, 50), (2_000, 50), "Table 1"),
        ((2_000, 50), (320, 10), "Table 1, of 2,000 items and 50 choices; here 320 and 10"),
        ((2_000, 50), (2_000, 49), "Table 1, of 2,000 items and 50 choices; here 2,000 and 49"),
        ((653, 0), (654, 10), "Table 1, of 653 items; here 654"),
        ((0, 796), (4_875, 975), "Table 1, of 796 choices; here 975"),
        ((0, 0), (4, 2), "Table 1"),
    ],
)
def test_number_of_a_paper_over_other_items(
    published: tuple[int, int], found: tuple[int, int], expected: str
) -> None:
    """A part of a data set isn't shown as if it were what the paper measured."""
    beside = Published(
        task="t",
        metric="mAP",
        value=0.7,
        where="Table 1",
        count=published[0],
        choices=published[1],
    )
    count, choices = found
    score = Score(task="t", metric="mAP", value=0.9, chance=0.1, count=count, choices=choices)
    assert beside.describe(score) == expected


def test_scores_of_several_results() -> None:
    """Each task and metric once, the first result's, in the order that they appear in."""
    one, two = make_result("s", "one", "R@1"), make_result("s", "two", "mAP", "R@1")
    assert unique_scores([one, two]) == [one.scores[0], two.scores[0]]


def test_groups_keep_their_order() -> None:
    """Suites in the order of their first result."""
    a, b, again = (make_result(suite, "x") for suite in "aba")
    assert group_by_suite([a, b, again]) == {"a": [a, again], "b": [b]}
