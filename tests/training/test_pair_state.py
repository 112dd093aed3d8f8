"""A pair is prepared: rows split, the frozen side embedded, unusable items listed."""

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


def prepare(
    world: Any, folder: RunFolder | None = None, limit: int | None = None, **changes: str
) -> PairState:
    recipe = read_recipe(world.recipe, {f"pairs.0.{key}": value for key, value in changes.items()})
    space = openbind.load(recipe.start)
    given = Preparation(recipe, space, world.folder, World(), folder, limit)
    plan = recipe.pairs[0]
    modality = plan.pair[1]
    return prepare_pair(0, plan, TrainedTower(recipe.towers[modality], modality, space, 0), given)


def test_rows(world: Any) -> None:
    """A split, or a fraction, is held out; no row is in both."""
    recipe = read_recipe(world.recipe)
    found = read_pair(recipe.pairs[0], world.folder)
    assert (len(found.train), len(found.held_out)) == (32, 8)
    assert not {row.key for row in found.train} & {row.key for row in found.held_out}
    fraction = read_recipe(world.recipe, {"pairs.0.split": "null", "pairs.0.validation": "0.25"})
    found = read_pair(fraction.pairs[0], world.folder)
    assert len(found.train) + len(found.held_out) == 40
    assert 4 <= len(found.held_out) <= 16
    folds = []
    for fold in range(4):
        changes = {"split": "null", "validation": "null", "folds": "4", "fold": str(fold)}
        recipe = read_recipe(world.recipe, {f"pairs.0.{key}": v for key, v in changes.items()})
        folds.append(read_pair(recipe.pairs[0], world.folder))
    assert sorted(int(row.key) for fold in folds for row in fold.held_out) == list(range(2, 42))
    assert {len(fold.train) for fold in folds} == {30}


def test_frozen_side(world: Any) -> None:
    """Embeddings are those of the space."""
    pair = prepare(world)
    space = openbind.load(world.folder / "start")
    expected = space.encode("image", [anchor.item for anchor in pair.table.anchors])
    assert np.allclose(pair.corpus.vectors_KVE[:, 0].numpy(), expected, atol=1e-6)
    assert pair.validation is not None
    held_out = space.encode("image", [anchor.item for anchor in pair.validation.table.anchors])
    assert np.allclose(pair.validation.vectors_KE, held_out, atol=1e-6)
    assert (pair.counts.rows, pair.counts.held_out, pair.counts.anchors) == (32, 8, 32)


def test_tables_of_a_run(world: Any, tmp_path: Path) -> None:
    """A run's tables are read again; after a file is gone, its row is skipped."""
    folder = RunFolder(tmp_path)
    first = prepare(world, folder)
    assert sorted(path.name for path in folder.rows.iterdir()) == ["anchors-0", "validation-0"]
    again = prepare(world, folder)
    assert torch.equal(again.corpus.vectors_KVE, first.corpus.vectors_KVE)
    hidden = world.folder / "38.png"
    hidden.rename(tmp_path / "away.png")
    try:
        other = prepare(world, folder)
        assert "38.png" in other.skipped[0].item
        assert len(other.table.rows) == len(first.table.rows) - 1
    finally:
        (tmp_path / "away.png").rename(hidden)


def test_mended_files(world: Any, tmp_path: Path) -> None:
    """An item that was broken in a first run is embedded once it is mended."""
    folder = RunFolder(tmp_path)
    path = world.folder / "37.png"
    data = path.read_bytes()
    try:
        path.write_bytes(data[:20])
        assert len(prepare(world, folder).table.rows) == 31
    finally:
        path.write_bytes(data)
    mended = prepare(world, folder)
    assert len(mended.table.rows) == 32
    assert not mended.skipped


def test_another_start(world: Any, tmp_path: Path) -> None:
    """A start of the same name with other weights has other vectors, in the same folder."""
    folder = RunFolder(tmp_path / "run")
    first = prepare(world, folder)
    other = openbind.load(world.folder / "start")
    next(other.towers["vision"].parameters()).data += 1
    openbind.save(other, tmp_path / "start")
    recipe = read_recipe(world.recipe, {"start": str(tmp_path / "start")})
    space = openbind.load(recipe.start)
    assert space.name == openbind.load(world.folder / "start").name
    plan = recipe.pairs[0]
    tower = TrainedTower(recipe.towers["imu"], "imu", space, 0)
    given = Preparation(recipe, space, world.folder, World(), folder)
    second = prepare_pair(0, plan, tower, given)
    assert not torch.allclose(first.corpus.vectors_KVE, second.corpus.vectors_KVE)


def test_views(world: Any) -> None:
    """Views of whole items share one vector; others have one each."""
    whole = prepare(world, views="{count: 3}").corpus.vectors_KVE
    assert whole.shape == (32, 3, 16)
    assert torch.equal(whole[:, 0], whole[:, 2])
    crops = prepare(world, views="{count: 3, crop: [0.3, 0.6]}").corpus.vectors_KVE
    assert not torch.allclose(crops[:, 0], crops[:, 2])


def test_extra_negatives(world: Any) -> None:
    """Items without a partner are embedded and never a row's own."""
    (world.folder / "others.csv").write_text("image\n0.png\n5.png\n10.png\n1.png\n")
    pair = prepare(world, negatives="4", extra_negatives="{manifest: others.csv}")
    assert len(pair.table.anchors) == 32 + 3  # 1.png has a partner
    assert max(max(choice) for choice in pair.table.choices) == 31


def test_limit(world: Any) -> None:
    """With a limit a sample is prepared, but counts and epochs are those of all rows."""
    pair = prepare(world, limit=4)
    assert (len(pair.table.rows), len(pair.corpus.vectors_KVE)) == (4, 4)
    assert pair.validation is not None
    assert len(pair.validation.table.rows) == 4
    assert (pair.counts.rows, pair.counts.held_out, pair.counts.anchors) == (32, 8, 32)
    assert pair.batches_per_epoch(8) == 4


def test_wrong_frozen_side(world: Any) -> None:
    """A starting space without the frozen modality is refused."""
    with pytest.raises(ConfigError, match="has no depth, only image"):
        prepare(world, pair="[depth, imu]")
