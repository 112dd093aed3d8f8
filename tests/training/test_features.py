"""A frozen body is run once over all items; unusable ones are listed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import openbind
from openbind.data.loader import CachedFeatures
from openbind.data.pairs import Row
from openbind.data.sampler import Draw
from openbind.data.table import PairTable, tabulate
from openbind.data.views import ViewPlan
from openbind.embedding.items import StoredFeatures, StoredVector
from openbind.errors import ConfigError
from openbind.training import features as module
from openbind.training.distributed import World
from openbind.training.features import cache_features, join_features
from openbind.training.recipe import PairPlan
from openbind.training.recipe_file import read_recipe
from openbind.training.towers import TowerPlan
from openbind.training.trained_tower import TrainedTower


def make_tower(world: Any) -> TrainedTower:
    space = openbind.load(world.folder / "start", dtype="float32")
    return TrainedTower(TowerPlan(start="space", train="head"), "image", space, seed=0)


def make_plan(world: Any) -> PairPlan:
    return read_recipe(world.recipe, {"pairs.0.pair": "[video, imu]"}).pairs[0]


def cache(
    world: Any,
    paths: list[Path],
    views: ViewPlan | None = None,
    processes: World | None = None,
) -> tuple[Any, PairTable, list[Any]]:
    """Cache features of images, paired with themselves."""
    plan = make_plan(world)
    object.__setattr__(plan, "pair", ("video", "image"))
    object.__setattr__(plan, "views", views or ViewPlan())
    rows = [Row(key=path.name, items={"image": (path,), "video": (path,)}) for path in paths]
    tower = make_tower(world)
    return cache_features(plan, tabulate(rows, "video"), tower, None, seed=0, world=processes)


def test_features(world: Any) -> None:
    """Head after features is the tower."""
    paths = [world.folder / "1.png", world.folder / "2.png"]
    side, table, broken = cache(world, paths)
    assert isinstance(side, CachedFeatures)
    assert (len(table.rows), broken) == (2, [])
    trained_tower = make_tower(world)
    vectors_KVE = torch.randn(2, 1, 5)
    joined, targets, weights = join_features([(side, table, vectors_KVE)])
    assert joined.shape == (2, 32)
    assert weights.tolist() == [1.0, 1.0]
    assert torch.equal(targets, vectors_KVE[:, 0])
    with torch.no_grad():
        vectors = torch.nn.functional.normalize(trained_tower.tower.head.proj(joined), dim=1)
    start = openbind.load(world.folder / "start", dtype="float32")
    expected = start.encode("image", paths)
    assert np.allclose(vectors.numpy(), expected, atol=1e-5)


def test_views(world: Any) -> None:
    """An item has features for each view, paired with that view's embedding."""
    paths = [world.folder / "1.png", world.folder / "2.png"]
    side, table, _ = cache(world, paths, ViewPlan(count=3, crop=(0.2, 0.5)))
    assert [sorted(views) for views in side.features] == [
        [(row, view) for view in range(3)] for row in range(2)
    ]
    first, second = (side.read(Draw(0, 1, 1, view, 0)) for view in (0, 1))
    assert not torch.allclose(first, second)
    vectors_KVE = torch.randn(2, 3, 5)
    joined, targets, _ = join_features([(side, table, vectors_KVE)])
    assert torch.equal(targets, vectors_KVE.flatten(0, 1))
    assert torch.equal(joined[4], second)
    whole, _, _ = cache(world, paths, ViewPlan(count=3))
    assert [list(views) for views in whole.features] == [[None], [None]]
    _, means, _ = join_features([(whole, table, vectors_KVE)])
    torch.testing.assert_close(means, vectors_KVE.mean(1))


def test_broken(world: Any, tmp_path: Path) -> None:
    """Broken rows are skipped and listed; having no other is an error."""
    (tmp_path / "bad.png").write_bytes(b"x")
    side, table, broken = cache(world, [world.folder / "1.png", tmp_path / "bad.png"])
    assert [row.key for row in table.rows] == ["1.png"]
    assert len(side) == 1
    assert broken[0].item == "bad.png"
    with pytest.raises(ConfigError, match="no row can be used"):
        cache(world, [tmp_path / "bad.png"])


def test_batches(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows go through the body in batches."""
    batches: list[int] = []

    def count(tower: torch.nn.Module, clips: torch.Tensor) -> torch.Tensor:
        batches.append(len(clips))
        return features(tower, clips)

    features = module.features
    monkeypatch.setattr(module, "features", count)
    cache(world, [world.folder / f"{index}.png" for index in range(20)])
    assert sum(batches) == 20
    assert len(batches) < 5


def test_processes(world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process runs its part of the rows, and all have the features of one process."""
    (tmp_path / "bad.png").write_bytes(b"x")
    paths = [tmp_path / "bad.png", *(world.folder / f"{index}.png" for index in range(4))]
    whole, _, broken = cache(world, paths)
    parts: list[Any] = []

    def exchange(value: Any, world: World) -> list[Any]:
        parts.append(value)
        if len(parts) < 2:
            raise InterruptedError
        return parts

    monkeypatch.setattr(module, "gather_objects", exchange)
    with suppress(InterruptedError):
        cache(world, paths, processes=World(rank=0, size=2))
    side, table, skipped = cache(world, paths, processes=World(rank=1, size=2))
    assert [len(part) for part in parts] == [3, 2]
    assert skipped == broken
    assert [row.key for row in table.rows] == ["0.png", "1.png", "2.png", "3.png"]
    for found, expected in zip(side.features, whole.features, strict=True):
        assert torch.allclose(found[None], expected[None], atol=1e-5)


def test_stored(world: Any, tmp_path: Path) -> None:
    """Stored features take the place of items; those of another width are skipped by name."""
    images = [world.folder / f"{index}.png" for index in range(3)]
    whole, _, _ = cache(world, images)
    np.save(tmp_path / "f.npy", torch.cat([views[None] for views in whole.features]).numpy())
    np.save(tmp_path / "wide.npy", np.zeros((1, 33)))
    stored = [StoredFeatures(StoredVector(tmp_path / "f.npy", row)) for row in range(3)]
    wide = StoredFeatures(StoredVector(tmp_path / "wide.npy"))
    items = [(stored[0],), (images[1], wide), (images[2], stored[1], stored[2])]
    rows = [
        Row(key=str(number), items={"image": each, "video": (images[number],)}, weight=number)
        for number, each in enumerate(items)
    ]
    plan = make_plan(world)
    object.__setattr__(plan, "pair", ("video", "image"))
    tower = make_tower(world)
    side, table, skipped = cache_features(plan, tabulate(rows, "video"), tower, None, seed=0)
    assert [row.key for row in table.rows] == ["0", "2"]
    assert [item.item for item in skipped] == ["1"]
    assert torch.equal(side.features[0][None], whole.features[0][None])
    parts = [whole.features[2][None], whole.features[1][None], whole.features[2][None]]
    torch.testing.assert_close(side.features[1][None], torch.cat(parts))
    vectors_KVE = torch.randn(3, 1, 5)
    joined, _, weights = join_features([(side, table, vectors_KVE)])
    assert (len(joined), weights.tolist()) == (3, [2.0] * 3)  # the row of weight 0 isn't there
    alone = CachedFeatures(side.features[:1])
    with pytest.raises(ConfigError, match="weight 0"):
        join_features([(alone, table.only([0]), vectors_KVE)])
    object.__setattr__(plan, "views", ViewPlan(crop=(0.5, 1.0)))
    with pytest.raises(ConfigError, match="stored features are of whole items"):
        cache_features(plan, tabulate(rows[:1], "video"), tower, None, seed=0)
