"""R@k and median ranks, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from openbind.evaluation.retrieval import Search, measure_ranks, measure_searches


def test_ranks_by_hand() -> None:
    """Four queries whose relevant items are at 1, 2, 3 and 12 of 12."""
    scores_QK = -np.tile(np.arange(12.0), (4, 1))
    relevant_QK = np.zeros((4, 12), bool)
    relevant_QK[range(4), [0, 1, 2, 11]] = True
    search = Search("x → y", scores_QK, relevant_QK)
    found = {score.metric: score for score in measure_ranks(search)}
    values = {metric: score.value for metric, score in found.items()}
    assert values == {"R@1": 0.25, "R@5": 0.75, "R@10": 0.75, "median rank": 2.5}
    assert found["R@5"].chance == pytest.approx(5 / 12)
    assert found["median rank"].chance == 6
    low, high = found["median rank"].interval or (0, 0)
    assert 1 <= low < 2.5 < high <= 12
    result = measure_searches([search], {"a.wav": "broken"})
    assert [list(ranking.rank_Q) for ranking in result.rankings] == [[1, 2, 3, 12]]
    assert result.excluded == {"a.wav": "broken"}
