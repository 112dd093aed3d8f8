"""Held-out sets: a table → sets with their items, the texts of classes, and their origins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from openbind.errors import ConfigError
from openbind.evaluation.collection import CollectionItem
from openbind.evaluation.held_out import TABLE, held_out_folder, read_sets


def test_sets(held_out: Path) -> None:
    """Items are in their set and modality, with their files; texts have none."""
    motion, rooms, noise = read_sets(held_out)
    assert (motion.title, rooms.title, noise.title) == ("motion", "rooms", "noise")
    assert {name: len(side.items) for name, side in rooms.sides.items()} == {
        "image": 4,
        "depth": 4,
        "text": 3,
    }
    path = held_out / "1.npy"
    expected = CollectionItem(title="1.npy", path=path, label="bedroom", pair="room 1", set="rooms")
    item = rooms.sides["depth"].items[1]
    assert replace(item, credit=None) == expected
    assert item.credit is not None
    assert item.credit.source.startswith("rooms of noise 1.2")
    assert motion.names == {"walking": ("a walking",), "standing": ("a standing",)}
    assert noise.names == {}


def test_origins(held_out: Path) -> None:
    """What a space is warned of is the data's or the package's name, without version and file."""
    assert [held.origins for held in read_sets(held_out)] == [
        ("motion of noise",),
        ("rooms of noise",),
        ("noise of noise",),
    ]
    shipped = {held.title: held.origins for held in read_sets(held_out_folder())}
    assert "openttd-opensfx" in shipped["single things"]
    assert "BasicMotions, test split" in shipped["BasicMotions, test split"]


def test_wrong_table(held_out: Path, tmp_path: Path) -> None:
    """A column that there isn't is named."""
    table = (held_out / TABLE).read_text()
    (tmp_path / TABLE).write_text(table.replace("license", "copyright", 1))
    with pytest.raises(ConfigError, match="copyright"):
        read_sets(tmp_path)
