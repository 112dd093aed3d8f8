"""A batch is contrasted with each group of positives once, and never with a row's own positives."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from openbind.data.pairs import Row
from openbind.data.sampler import Draw, Draws
from openbind.data.table import PairTable, tabulate
from openbind.training.contrast import Contrast, Corpus

Positives = Literal["item", "row", "label"]


def make_table() -> PairTable:
    """Six rows with an image each, two rows of each label."""
    return tabulate(
        [
            Row(key=str(i), items={"image": (Path(f"{i}.png"),)}, label="abc"[i // 2])
            for i in range(6)
        ],
        "image",
    )


def captions() -> PairTable:
    """Three images with two captions each."""
    return tabulate(
        [Row(key=str(i), items={"text": (f"{i}-a", f"{i}-b")}) for i in range(3)], "text"
    )


def vectors() -> torch.Tensor:
    """(6, 2, 12): item i, view v has its one at 2 i + v."""
    return torch.eye(12).view(6, 2, 12)


def draw(row: int, view: int = 0, anchor: int | None = None) -> Draw:
    return Draw(0, row, row if anchor is None else anchor, view, 0)


def contrast(table: PairTable, positives: Positives, draws: list[Draw], negatives: Any) -> Contrast:
    corpus = Corpus(table, vectors(), positives)
    return corpus.contrast(Draws.of(draws), negatives, lambda: np.random.default_rng(0))


def items_of(found: Contrast) -> list[int]:
    """Indices of the frozen items."""
    return [int(i) // 2 for i in found.items_KE.argmax(dim=1)]


def excluded_items(found: Contrast, query: int) -> set[int]:
    """Frozen items that aren't a row's negatives though they are in the contrast."""
    if found.excluded is None:
        return set()
    pairs = zip(*(side.tolist() for side in found.excluded), strict=True)
    return {items_of(found)[item] for q, item in pairs if q == query}


def test_rows() -> None:
    """Each row has its own item in its view; a shared item occurs once."""
    found = contrast(make_table(), "row", [draw(4, 1), draw(0), draw(5, 0, 4)], "batch")
    assert found.items_KE.argmax(dim=1).tolist() == [0, 9]
    assert found.target_Q.tolist() == [1, 0, 1]
    assert excluded_items(found, 0) == excluded_items(found, 1) == set()


def test_labels() -> None:
    """Rows of one label share one item, the first that was drawn."""
    found = contrast(make_table(), "label", [draw(1), draw(0), draw(5)], "batch")
    assert found.items_KE.argmax(dim=1).tolist() == [2, 10]
    assert found.target_Q.tolist() == [0, 0, 1]


def test_corpus() -> None:
    """Negatives are of other groups: other items, or other labels."""
    by_row = contrast(make_table(), "row", [draw(1), draw(0)], "corpus")
    assert sorted(items_of(by_row)[2:]) == [2, 3, 4, 5]
    by_label = contrast(make_table(), "label", [draw(1)], "corpus")
    assert sorted(items_of(by_label)[1:]) == [2, 3, 4, 5]


def test_sample() -> None:
    """A number samples so many negatives without repetition; more than there are takes all."""
    found = items_of(contrast(make_table(), "row", [draw(0)], 3))[1:]
    assert len(set(found)) == 3
    assert 0 not in found
    assert len(contrast(make_table(), "row", [draw(0)], 99).items_KE) == 6


def test_own_captions() -> None:
    """A row's other captions aren't its negatives, but other rows'; with "item" they are."""
    draws = [draw(0, anchor=0), draw(1, anchor=3)]
    found = contrast(captions(), "row", draws, "corpus")
    assert sorted(items_of(found)) == list(range(6))
    assert (excluded_items(found, 0), excluded_items(found, 1)) == ({1}, {2})
    assert contrast(captions(), "item", draws, "corpus").excluded is None


def test_own_items_in_the_batch() -> None:
    """Two rows of a class that drew different images of it don't repel each other's."""
    images = (Path("1.png"), Path("2.png"))
    table = tabulate([Row(key=str(i), items={"image": images}) for i in range(3)], "image")
    draws = [draw(0, anchor=0), draw(1, anchor=1)]
    found = contrast(table, "row", draws, "batch")
    assert (excluded_items(found, 0), excluded_items(found, 1)) == ({1}, {0})
    assert contrast(table, "item", draws, "batch").excluded is None


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 5), min_size=1, max_size=4, unique=True),
            st.sampled_from(["a", "b", None]),
        ),
        min_size=2,
        max_size=6,
    ),
    st.sampled_from(["row", "label"]),
    st.sampled_from(["batch", "corpus", 2]),
    st.randoms(use_true_random=False),
)
def test_no_row_is_repelled_by_its_own(
    rows: list[tuple[list[int], str | None]], positives: Positives, negatives: Any, random: Any
) -> None:
    """Whatever was drawn: every own item is the target, excluded, or not in the contrast."""
    table = tabulate(
        [
            Row(key=str(i), items={"text": tuple(map(str, own))}, label=label)
            for i, (own, label) in enumerate(rows)
        ],
        "text",
    )
    draws = [draw(row, anchor=random.choice(choice)) for row, choice in enumerate(table.choices)]
    found = contrast(table, positives, draws, negatives)
    items = items_of(found)
    for query, choice in enumerate(table.choices):
        target = items[found.target_Q[query]]
        assert found.excluded is None or target not in excluded_items(found, query)
        negative = set(items) - excluded_items(found, query) - {target}
        assert not negative & set(choice)
        if positives == "row":
            assert target == draws[query].anchor
            assert excluded_items(found, query) <= set(choice)


def test_part() -> None:
    """Each process has its rows' targets and excluded pairs, and all items."""
    draws = [draw(0, anchor=0), draw(1, anchor=3), draw(2, anchor=4)]
    whole = contrast(captions(), "row", draws, "corpus")
    for query in range(3):
        part = whole.part(slice(query, query + 1), torch.device("cpu"))
        assert torch.equal(part.items_KE, whole.items_KE)
        assert part.target_Q.tolist() == whole.target_Q[query : query + 1].tolist()
        assert excluded_items(part, 0) == excluded_items(whole, query)


@pytest.mark.parametrize("positives", ["item", "row", "label"])
def test_single_items(positives: Positives) -> None:
    """With one item per row and no labels all choices are the same."""
    rows = [Row(key=str(i), items={"image": (Path(f"{i}.png"),)}) for i in range(6)]
    found = contrast(tabulate(rows, "image"), positives, [draw(2), draw(0)], "corpus")
    assert sorted(items_of(found)[2:]) == [1, 3, 4, 5]
    assert found.excluded is None


@pytest.mark.parametrize("positives", ["item", "row"])
def test_similar(positives: Positives) -> None:
    """Items nearly the same as a row's own aren't its negatives; its own stays its target."""
    near_KVE = vectors().clone()
    near_KVE[1] = torch.nn.functional.normalize(near_KVE[0] + 0.1 * near_KVE[1], dim=1)
    draws = Draws.of([draw(0), draw(1), draw(4)])
    corpus = Corpus(make_table(), near_KVE, positives, similar=0.95)
    found = corpus.contrast(draws, "batch", lambda: np.random.default_rng(0))
    assert found.excluded is not None
    assert sorted(zip(*(part.tolist() for part in found.excluded), strict=True)) == [(0, 1), (1, 0)]
    assert found.target_Q.tolist() == [0, 1, 2]
    far = Corpus(make_table(), vectors(), positives, similar=0.95)
    assert far.contrast(draws, "batch", lambda: np.random.default_rng(0)).excluded is None
