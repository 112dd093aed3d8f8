"""Items keep their vectors; relevant items have the query's scene or class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from openbind.errors import InputError
from openbind.evaluation.collection import (
    CollectionItem,
    EmbeddedItems,
    ItemSet,
    SetSide,
    relevance,
    share_scenes,
)


def gather(items: list[CollectionItem], vectors_NE: np.ndarray) -> EmbeddedItems:
    return EmbeddedItems(modality="image", items=tuple(items), vectors_NE=vectors_NE)


def test_of_set_keeps_items_with_their_vectors() -> None:
    """A part has the rows of its own items."""
    items = [CollectionItem(title=str(n), set=name) for n, name in enumerate("abab")]
    some = gather(items, np.eye(4, dtype=np.float32))
    assert some.sets == ("a", "b")
    part = some.of_set("b")
    assert [item.title for item in part.items] == ["1", "3"]
    assert part.vectors_NE.tolist() == np.eye(4)[[1, 3]].tolist()


@pytest.mark.parametrize(
    ("items", "vectors", "message"),
    [
        ([], np.zeros((0, 2)), "expected at least one item"),
        ([CollectionItem(title="x")], np.eye(2), r"expected \(1, dim\) vectors, found \(2, 2\)"),
        ([CollectionItem(title="x")], np.ones(2), r"found \(2,\)"),
        (
            [CollectionItem(title="x")],
            np.full((1, 2), np.nan),
            "'x': expected vectors of unit length",
        ),
        ([CollectionItem(title="x")], np.full((1, 2), 3.0), "found 4.24"),
    ],
)
def test_wrong_vectors_are_refused(
    items: list[CollectionItem], vectors: np.ndarray, message: str
) -> None:
    """Other counts, NaN rows of items that couldn't be read, and scaled rows are no gathering."""
    with pytest.raises(InputError, match=message):
        gather(items, vectors.astype(np.float32))


def test_relevance_is_by_key() -> None:
    """Items without a key are relevant to nothing, not even to each other."""
    queries = [CollectionItem(title="q", label="dog", pair="7"), CollectionItem(title="r")]
    targets = [
        CollectionItem(title="a", label="dog"),
        CollectionItem(title="b", pair="7"),
        CollectionItem(title="c"),
    ]
    assert relevance(queries, targets, by_pair=False).tolist() == [[1, 0, 0], [0, 0, 0]]
    assert relevance(queries, targets, by_pair=True).tolist() == [[0, 1, 0], [0, 0, 0]]


def test_scenes_are_shared_by_key() -> None:
    """An empty key is no scene."""
    assert share_scenes(
        [CollectionItem(title="a", pair="1")], [CollectionItem(title="b", pair="1")]
    )
    assert not share_scenes([CollectionItem(title="a")], [CollectionItem(title="b")])
    assert not share_scenes(
        [CollectionItem(title="a", pair="1")], [CollectionItem(title="b", pair="2")]
    )


def test_items_without_some_files() -> None:
    """Files are dropped by name on every side, texts stay, and an empty side goes."""
    image, text = CollectionItem(title="a", path=Path("x/a.png")), CollectionItem(title="a.png")
    other = CollectionItem(title="b", path=Path("x/b.png"))
    sides = {
        "image": SetSide(items=(image, other)),
        "depth": SetSide(items=(image,)),
        "text": SetSide(items=(text,)),
    }
    left = ItemSet(title="s", sides=sides).without({"a.png"})
    assert {name: side.items for name, side in left.sides.items()} == {
        "image": (other,),
        "text": (text,),
    }
    assert (image.content, text.content) == (Path("x/a.png"), "a.png")
