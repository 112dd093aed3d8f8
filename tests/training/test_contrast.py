"""A batch is contrasted with each thing in it once, and with no negative that is one of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from openbind.data.pairs import Row
from openbind.data.sampler import Draw
from openbind.data.table import PairTable, tabulate
from openbind.training.contrast import Corpus


def make_table() -> PairTable:
    """Six rows with a image each, two rows of each label."""
    return tabulate(
        [
            Row(key=str(i), items={"image": (Path(f"{i}.png"),)}, label="abc"[i // 2])
            for i in range(6)
        ],
        "image",
    )


def vectors() -> torch.Tensor:
    """(6, 2, 12): item i, view v has its one at 2 i + v."""
    return torch.eye(12).view(6, 2, 12)


def draw(row: int, view: int = 0) -> Draw:
    return Draw(0, row, row, view, 0)


def test_rows() -> None:
    """Each row has its own item in the view that was drawn; a shared item stands there once."""
    corpus = Corpus(make_table(), vectors(), "row")
    draws = [draw(4, 1), draw(0), Draw(0, 5, 4, 0, 0)]
    contrast = corpus.contrast(draws, "batch", np.random.default_rng(0))
    assert contrast.items_KE.argmax(dim=1).tolist() == [0, 9]
    assert contrast.target_Q.tolist() == [1, 0, 1]


def test_labels() -> None:
    """Rows of one label share one item, the first that was drawn."""
    corpus = Corpus(make_table(), vectors(), "label")
    contrast = corpus.contrast([draw(1), draw(0), draw(5)], "batch", np.random.default_rng(0))
    assert contrast.items_KE.argmax(dim=1).tolist() == [2, 10]
    assert contrast.target_Q.tolist() == [0, 0, 1]


def test_corpus() -> None:
    """Negatives are of other things: other items, or other labels where labels match."""
    rng = np.random.default_rng(0)
    by_row = Corpus(make_table(), vectors(), "row").contrast([draw(1), draw(0)], "corpus", rng)
    assert sorted(by_row.items_KE[2:].argmax(dim=1).div(2, rounding_mode="floor")) == [2, 3, 4, 5]
    by_label = Corpus(make_table(), vectors(), "label").contrast([draw(1)], "corpus", rng)
    assert sorted(by_label.items_KE[1:].argmax(dim=1).div(2, rounding_mode="floor")) == [2, 3, 4, 5]


def test_some() -> None:
    """A number draws so many negatives, each once; more than there are gives all."""
    corpus = Corpus(make_table(), vectors(), "row")
    few = corpus.contrast([draw(0)], 3, np.random.default_rng(0)).items_KE[1:]
    places = few.argmax(dim=1).div(2, rounding_mode="floor").tolist()
    assert len(set(places)) == 3
    assert 0 not in places
    assert len(corpus.contrast([draw(0)], 99, np.random.default_rng(0)).items_KE) == 6
