"""Retrieval is tested against its definition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import openbind
from openbind.data.pairs import Row
from openbind.data.table import tabulate
from openbind.errors import ConfigError
from openbind.training import validation as module
from openbind.training.distributed import World
from openbind.training.validation import HeldOut, measure_retrieval, relevant_items


def make_rows(world: Any, count: int) -> list[Row]:
    """Images paired with themselves."""
    return [
        Row(
            key=str(i),
            items={"image": (world.folder / f"{i}.png",), "video": (world.folder / f"{i}.png",)},
            label="ab"[i % 2],
        )
        for i in range(count)
    ]


def test_perfect(world: Any) -> None:
    """An item retrieves itself first, both ways; chance is rank over items."""
    space = openbind.load(world.folder / "start")
    table = tabulate(make_rows(world, 12), "image")
    vectors = space.encode("image", [anchor.item for anchor in table.anchors])
    found = measure_retrieval(space, ("image", "image"), HeldOut(table, vectors))
    assert found.rows == found.items == 12
    assert found.recall["image→image R@1"] == 1.0
    assert found.chance["image→image R@5"] == pytest.approx(5 / 12)
    assert found.score == 1.0


def test_shuffled(world: Any) -> None:
    """With a shuffled frozen side nothing is retrieved first."""
    space = openbind.load(world.folder / "start")
    table = tabulate(make_rows(world, 12), "image")
    vectors = space.encode("image", [anchor.item for anchor in table.anchors])
    found = measure_retrieval(
        space, ("image", "image"), HeldOut(table, np.roll(vectors, 1, axis=0))
    )
    assert found.recall["image→image R@1"] == 0.0


def test_relevant(world: Any) -> None:
    """By row, its own items are relevant; by label, all of its label."""
    table = tabulate(make_rows(world, 4), "image")
    assert np.array_equal(relevant_items(table, by_label=False), np.eye(4, dtype=bool))
    by_label = relevant_items(table, by_label=True)
    assert by_label.tolist() == [[True, False, True, False], [False, True, False, True]] * 2


def test_processes(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process embeds its part of the rows, and all have the results of one process."""
    space = openbind.load(world.folder / "start")
    table = tabulate(make_rows(world, 11), "image")
    vectors = space.encode("image", [anchor.item for anchor in table.anchors])
    held_out = HeldOut(table, vectors)
    parts: list[Any] = []

    def exchange(value: Any, world: World) -> list[Any]:
        parts.append(value)
        return parts if len(parts) == 2 else [value, value[:5]]

    monkeypatch.setattr(module, "gather_objects", exchange)
    measure_retrieval(space, ("image", "image"), held_out, world=World(rank=0, size=2))
    found = measure_retrieval(space, ("image", "image"), held_out, world=World(rank=1, size=2))
    assert [len(part) for part in parts] == [6, 5]
    assert found.recall["image→image R@1"] == 1.0


def test_broken(world: Any, tmp_path: Path) -> None:
    """Unreadable rows are skipped; having no other is an error."""
    space = openbind.load(world.folder / "start")
    (tmp_path / "bad.png").write_bytes(b"x")
    rows = make_rows(world, 3)
    broken = (tmp_path / "bad.png",)
    bad = Row(key="bad", items={"image": broken, "video": broken})
    vectors = np.eye(4, 16, dtype=np.float32)
    table = tabulate([*rows, bad], "image")
    assert measure_retrieval(space, ("image", "image"), HeldOut(table, vectors)).rows == 3
    with pytest.raises(ConfigError, match="no validation row can be used"):
        measure_retrieval(space, ("image", "image"), HeldOut(tabulate([bad], "image"), vectors[:1]))
