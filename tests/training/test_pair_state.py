"""A pair is made ready once: rows parted, the frozen side embedded, what is unusable listed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import openbind
from openbind.errors import ConfigError
from openbind.training.distributed import World
from openbind.training.pair_state import PairState, Preparation, prepare_pair, read_pair
from openbind.training.recipe_file import read_recipe
from openbind.training.state import RunFolder
from openbind.training.trained_tower import TrainedTower


def prepare(world: Any, folder: RunFolder | None = None, **changes: str) -> PairState:
    recipe = read_recipe(world.recipe, {f"pairs.0.{key}": value for key, value in changes.items()})
    space = openbind.load(recipe.start)
    given = Preparation(recipe, space, world.folder, World(), folder, False)
    plan = recipe.pairs[0]
    modality = plan.pair[1]
    return prepare_pair(0, plan, TrainedTower(recipe.towers[modality], modality, space, 0), given)


def test_rows(world: Any) -> None:
    """Split and share part the rows; nothing trains that validates."""
    recipe = read_recipe(world.recipe)
    found = read_pair(recipe.pairs[0], world.folder, 0)
    assert (len(found.train), len(found.held)) == (32, 8)
    assert not {row.key for row in found.train} & {row.key for row in found.held}
    shared = read_recipe(world.recipe, {"pairs.0.split": "null", "pairs.0.validation": "0.25"})
    found = read_pair(shared.pairs[0], world.folder, 0)
    assert len(found.train) + len(found.held) == 40
    assert 4 <= len(found.held) <= 16


def test_frozen_side(world: Any) -> None:
    """Kept embeddings are those that the space gives."""
    pair = prepare(world)
    space = openbind.load(world.folder / "start")
    expected = space.encode("image", [anchor.item for anchor in pair.table.anchors])
    assert np.allclose(pair.corpus.vectors_KVE[:, 0].numpy(), expected, atol=1e-6)
    assert pair.validation is not None
    assert pair.validation_KE is not None
    held = space.encode("image", [anchor.item for anchor in pair.validation.anchors])
    assert np.allclose(pair.validation_KE, held, atol=1e-6)


def test_kept_in_folder(world: Any, tmp_path: Path) -> None:
    """A run's own table is read back without looking at the items; another plan's isn't taken."""
    folder = RunFolder(tmp_path)
    first = prepare(world, folder)
    assert folder.anchors(0).is_file()
    hidden = world.folder / "38.png"
    hidden.rename(tmp_path / "away.png")
    try:
        again = prepare(world, folder)
        assert torch.equal(again.corpus.vectors_KVE, first.corpus.vectors_KVE)
        other = prepare(world, folder, temperature="0.1", views="{count: 2, crop: [0.5, 1.0]}")
        assert "38.png" in other.skipped[0].item
    finally:
        (tmp_path / "away.png").rename(hidden)


def test_others(world: Any) -> None:
    """Items without a partner are embedded and never a row's own."""
    (world.folder / "others.csv").write_text("image\n0.png\n5.png\n10.png\n1.png\n")
    pair = prepare(world, negatives="4", extra_negatives="{manifest: others.csv}")
    assert len(pair.table.anchors) == 32 + 3  # 1.png has a partner
    assert max(max(choice) for choice in pair.table.choices) == 31


def test_wrong_frozen_side(world: Any) -> None:
    """A starting space without the frozen modality is refused."""
    with pytest.raises(ConfigError, match="has no depth, only image"):
        prepare(world, pair="[depth, imu]")
