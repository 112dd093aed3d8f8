"""Items keep their vectors; the answers to a question are of its scene or its class."""

from __future__ import annotations

import numpy as np
import pytest

from openbind.errors import InputError
from openbind.evaluation.collection import EmbeddedItems, Item, answers, share_scenes


def gather(items: list[Item], vectors_NE: np.ndarray) -> EmbeddedItems:
    return EmbeddedItems(modality="image", items=tuple(items), vectors_NE=vectors_NE)


def test_of_set_keeps_items_with_their_vectors() -> None:
    """A part has the rows of its own items."""
    items = [Item(title=str(n), set=name) for n, name in enumerate("abab")]
    some = gather(items, np.eye(4, dtype=np.float32))
    assert some.sets == ("a", "b")
    part = some.of_set("b")
    assert [item.title for item in part.items] == ["1", "3"]
    assert part.vectors_NE.tolist() == np.eye(4)[[1, 3]].tolist()


@pytest.mark.parametrize(
    ("items", "vectors", "message"),
    [
        ([], np.zeros((0, 2)), "expected at least one item"),
        ([Item(title="x")], np.eye(2), r"expected \(1, dim\) vectors, found \(2, 2\)"),
        ([Item(title="x")], np.ones(2), r"found \(2,\)"),
        ([Item(title="x")], np.full((1, 2), np.nan), "'x': expected vectors of unit length"),
        ([Item(title="x")], np.full((1, 2), 3.0), "found 4.24"),
    ],
)
def test_wrong_vectors_are_refused(items: list[Item], vectors: np.ndarray, message: str) -> None:
    """Other counts, NaN rows of items that couldn't be read, and scaled rows are no gathering."""
    with pytest.raises(InputError, match=message):
        gather(items, vectors.astype(np.float32))


def test_answers_are_of_the_same_key() -> None:
    """Items without a key answer nothing, not even each other."""
    queries = [Item(title="q", label="dog", pair="7"), Item(title="r")]
    targets = [Item(title="a", label="dog"), Item(title="b", pair="7"), Item(title="c")]
    assert answers(queries, targets, by_pair=False).tolist() == [[1, 0, 0], [0, 0, 0]]
    assert answers(queries, targets, by_pair=True).tolist() == [[0, 1, 0], [0, 0, 0]]


def test_scenes_are_shared_by_key() -> None:
    """An empty key is no scene."""
    assert share_scenes([Item(title="a", pair="1")], [Item(title="b", pair="1")])
    assert not share_scenes([Item(title="a")], [Item(title="b")])
    assert not share_scenes([Item(title="a", pair="1")], [Item(title="b", pair="2")])
