"""Two sides of the same scenes search each other."""

from __future__ import annotations

import numpy as np
import pytest

import openbind
from openbind.errors import InputError
from openbind.evaluation.embedder import Embedder
from openbind.evaluation.tasks.pair_retrieval import PairRetrieval, search_pairs
from openbind.evaluation.tasks.task import Side


def test_directions() -> None:
    """Both directions of the same cosines; relevant is the item of the same index."""
    scores_NN = np.array([[0.6, 0.8], [0.9, 0.7]])
    there, back = search_pairs("a", "b", scores_NN)
    assert (there.name, back.name) == ("a → b", "b → a")
    assert back.scores_QK.tolist() == there.scores_QK.T.tolist()
    assert there.relevant_QK.tolist() == back.relevant_QK.tolist() == [[True, False], [False, True]]


def test_measure(starter: openbind.Space) -> None:
    """A scene counts if both of its sides can be used."""
    other = Side(modality="text", items=["dog", "rain", "cat", ""])
    task = PairRetrieval(
        name="p", modality="text", items=["a dog", "the rain", "", "x"], other=other
    )
    result = task.measure(Embedder(starter))
    assert {score.count for score in result.scores} == {2}
    assert result.scores[0].value == 1
    assert task.take([3, 0]).other.items == ["", "dog"]
    with pytest.raises(InputError, match="no pair"):
        task.take([2, 3]).measure(Embedder(starter))
