"""Retrieval is measured against a plain reading of its definition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import openbind
from openbind.data.pairs import Row
from openbind.data.table import tabulate
from openbind.errors import ConfigError
from openbind.training.validation import choose_rows, measure_retrieval, relevant_items


def make_rows(world: Any, count: int) -> list[Row]:
    """Images paired with images: one space's modality finds itself."""
    return [
        Row(
            key=str(i),
            items={"image": (world.folder / f"{i}.png",), "video": (world.folder / f"{i}.png",)},
            label="ab"[i % 2],
        )
        for i in range(count)
    ]


def test_perfect(world: Any) -> None:
    """An item finds itself first, both ways; chance is its rank over the items."""
    space = openbind.load(world.folder / "start")
    table = tabulate(make_rows(world, 12), "image")
    vectors = space.encode("image", [anchor.item for anchor in table.anchors])
    found = measure_retrieval(space, ("image", "image"), table, vectors)
    assert found.rows == found.items == 12
    assert found.recall["image→image R@1"] == 1.0
    assert found.chance["image→image R@5"] == pytest.approx(5 / 12)
    assert found.score == 1.0


def test_shuffled(world: Any) -> None:
    """With the frozen side in another order nothing is found first."""
    space = openbind.load(world.folder / "start")
    table = tabulate(make_rows(world, 12), "image")
    vectors = space.encode("image", [anchor.item for anchor in table.anchors])
    found = measure_retrieval(space, ("image", "image"), table, np.roll(vectors, 1, axis=0))
    assert found.recall["image→image R@1"] == 0.0


def test_relevant(world: Any) -> None:
    """By rows only its own items answer a row, by labels all of its label."""
    table = tabulate(make_rows(world, 4), "image")
    assert np.array_equal(relevant_items(table, by_label=False), np.eye(4, dtype=bool))
    by_label = relevant_items(table, by_label=True)
    assert by_label.tolist() == [[True, False, True, False], [False, True, False, True]] * 2


def test_choose(world: Any) -> None:
    """Rows are taken evenly, with their own frozen items alone."""
    chosen = choose_rows(tabulate(make_rows(world, 30), "image"), 3)
    assert [row.key for row in chosen.rows] == ["0", "10", "20"]
    assert len(chosen.anchors) == 3
    assert chosen.choices == [(0,), (1,), (2,)]
    assert len(choose_rows(chosen, 99).rows) == 3


def test_broken(world: Any, tmp_path: Path) -> None:
    """Rows that can't be read are excluded; none left is an error."""
    space = openbind.load(world.folder / "start")
    (tmp_path / "bad.png").write_bytes(b"x")
    rows = make_rows(world, 3)
    bad = Row(key="bad", items={"image": (tmp_path / "bad.png",)})
    vectors = np.eye(4, 16, dtype=np.float32)
    table = tabulate([*rows, bad], "image")
    assert measure_retrieval(space, ("image", "image"), table, vectors).rows == 3
    with pytest.raises(ConfigError, match="no validation row can be used"):
        measure_retrieval(space, ("image", "image"), tabulate([bad], "image"), vectors[:1])
