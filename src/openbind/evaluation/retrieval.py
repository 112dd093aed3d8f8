"""R@k and median ranks of searches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from openbind.evaluation.metrics import (
    bootstrap_interval,
    chance_median_rank,
    chance_recall_at,
    effective_count,
    fraction_interval,
    ranks,
)
from openbind.evaluation.results import Ranking, Score, TaskResult

RANKS = (1, 5, 10)


class Search(NamedTuple):
    """One direction of retrieval.

    Args:
        name: "audio → text".
        scores_QK: (queries, items) higher is better.
        relevant_QK: bool, which items are relevant to which query; queries without any are skipped.
        group_Q: an integer for each query, the same for captions of one recording; None if each
            query is of another.
    """

    name: str
    scores_QK: np.ndarray
    relevant_QK: np.ndarray
    group_Q: np.ndarray | None = None

    @property
    def answerable(self) -> np.ndarray | None:
        """`group_Q` of the queries that have a relevant item."""
        return None if self.group_Q is None else self.group_Q[self.relevant_QK.any(axis=1)]


def measure_searches(searches: Sequence[Search], excluded: Mapping[str, str]) -> TaskResult:
    """Return the scores and rankings of some searches.

    Args:
        searches: the directions.
        excluded: items that aren't in them, see `TaskResult`.
    """
    return TaskResult(
        scores=[score for search in searches for score in measure_ranks(search)],
        rankings=[
            Ranking(
                task=search.name,
                rank_Q=ranks(search.scores_QK, search.relevant_QK),
                group_Q=search.answerable,
            )
            for search in searches
        ],
        excluded=excluded,
    )


def measure_ranks(search: Search) -> list[Score]:
    """Return R@1, R@5, R@10 and the median rank of one direction."""
    name, scores_QK, relevant_QK, _ = search
    rank_Q, group_Q = ranks(scores_QK, relevant_QK), search.answerable
    found = []
    for depth in RANKS:
        if depth > 1 and depth >= scores_QK.shape[1]:
            continue  # As deep as there are items, everything is found.
        right_Q = rank_Q <= depth
        value = float(right_Q.mean())
        found.append(
            Score(
                task=name,
                metric=f"R@{depth}",
                value=value,
                chance=chance_recall_at(relevant_QK, depth),
                interval=fraction_interval(value, effective_count(right_Q, group_Q)),
                count=len(rank_Q),
                choices=scores_QK.shape[1],
            )
        )
    median = Score(
        task=name,
        metric="median rank",
        value=float(np.median(rank_Q)),
        chance=chance_median_rank([relevant_QK[relevant_QK.any(axis=1)]]),
        interval=bootstrap_interval(
            len(rank_Q), lambda rows: float(np.median(rank_Q[rows])), group_N=group_Q
        ),
        count=len(rank_Q),
        choices=scores_QK.shape[1],
    )
    return [*found, median]
