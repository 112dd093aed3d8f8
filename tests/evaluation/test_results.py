"""Results are looked up by task and metric, and grouped by suite."""

from __future__ import annotations

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


def test_number_of_a_paper_over_more_items() -> None:
    """A part of a data set isn't shown as if it were what the paper measured."""
    published = Published(task="t", metric="mAP", value=0.7, where="Table 1", count=2_000)
    part, whole = (
        Score(task="t", metric="mAP", value=0.9, chance=0.1, count=count) for count in (320, 2_000)
    )
    assert published.describe(part) == "Table 1, of 2,000 items; here 320"
    assert published.describe(whole) == "Table 1"


def test_scores_of_several_results() -> None:
    """Each task and metric once, the first result's, in the order that they appear in."""
    one, two = make_result("s", "one", "R@1"), make_result("s", "two", "mAP", "R@1")
    assert unique_scores([one, two]) == [one.scores[0], two.scores[0]]


def test_groups_keep_their_order() -> None:
    """Suites in the order of their first result."""
    a, b, again = (make_result(suite, "x") for suite in "aba")
    assert group_by_suite([a, b, again]) == {"a": [a, again], "b": [b]}
