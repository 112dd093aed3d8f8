"""A frozen body is run once over all items; unusable ones are listed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import openbind
from openbind.data.loader import CachedFeatures
from openbind.data.pairs import Row
from openbind.data.sampler import Draw, Draws
from openbind.data.table import PairTable, tabulate
from openbind.data.views import ViewPlan
from openbind.embedding.cache import VectorCache
from openbind.embedding.items import StoredFeatures, StoredVector
from openbind.errors import ConfigError
from openbind.training import features as module
from openbind.training.features import cache_features, join_features
from openbind.training.heads import HeadPlan
from openbind.training.recipe import PairPlan
from openbind.training.recipe_file import read_recipe
from openbind.training.towers import TowerPlan
from openbind.training.trained_tower import TrainedTower

STANDARDIZED = HeadPlan(standardize=True)


def make_tower(world: Any, fresh: bool = False) -> TrainedTower:
    space = openbind.load(world.folder / "start", dtype="float32")
    return TrainedTower(
        TowerPlan(start="space", train="head", head=HeadPlan(fresh=fresh)), "image", space, seed=0
    )


def make_plan(world: Any) -> PairPlan:
    return read_recipe(world.recipe, {"pairs.0.pair": "[video, imu]"}).pairs[0]


def cache(
    world: Any,
    paths: list[Path],
    views: ViewPlan | None = None,
    fresh: bool = False,
    **options: Any,
) -> tuple[Any, PairTable, list[Any]]:
    """Cache features of images, paired with themselves."""
    plan = make_plan(world)
    object.__setattr__(plan, "pair", ("video", "image"))
    object.__setattr__(plan, "views", views or ViewPlan())
    rows = [Row(key=path.name, items={"image": (path,), "video": (path,)}) for path in paths]
    tower = make_tower(world, fresh)
    return cache_features(plan, tabulate(rows, "video"), tower, None, seed=0, **options)


def test_features(world: Any) -> None:
    """Head after features is the tower."""
    paths = [world.folder / "1.png", world.folder / "2.png"]
    side, table, broken = cache(world, paths)
    assert isinstance(side, CachedFeatures)
    assert (len(table.rows), broken) == (2, [])
    trained_tower = make_tower(world)
    vectors_KVE = torch.randn(2, 1, 5)
    joined, targets, weights = join_features([(side, table, vectors_KVE)], STANDARDIZED)
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
    assert [sorted(side.row(row)) for row in range(2)] == [
        [(row, view) for view in range(3)] for row in range(2)
    ]
    first, second = (side.read(Draws.of([Draw(0, 1, 1, view, 0)]))[0] for view in (0, 1))
    assert not torch.allclose(first, second)
    vectors_KVE = torch.randn(2, 3, 5)
    joined, targets, _ = join_features([(side, table, vectors_KVE)], STANDARDIZED)
    assert torch.equal(targets, vectors_KVE.flatten(0, 1))
    assert torch.equal(joined[4], second)
    whole, _, _ = cache(world, paths, ViewPlan(count=3))
    assert [list(whole.row(row)) for row in range(2)] == [[None], [None]]
    _, means, _ = join_features([(whole, table, vectors_KVE)], STANDARDIZED)
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


def test_kept(world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features are found again by the run, and by content by other runs; changed ones aren't."""
    batches: list[int] = []
    features = module.features

    def count(tower: torch.nn.Module, clips: torch.Tensor) -> torch.Tensor:
        batches.append(len(clips))
        return features(tower, clips)

    monkeypatch.setattr(module, "features", count)
    paths = [tmp_path / f"{index}.png" for index in range(4)]
    for index, path in enumerate(paths):
        path.write_bytes((world.folder / f"{index}.png").read_bytes())
    paths[3].write_bytes(b"x")
    with VectorCache(tmp_path / "cache") as vectors:
        options: dict[str, Any] = {"cache": vectors, "kept": tmp_path / "a"}
        side, table, broken = cache(world, paths, **options)
        assert (sum(batches), len(table.rows), len(broken)) == (3, 3, 1)
        again, _, same = cache(world, paths, **options)
        other, _, _ = cache(world, paths, **{**options, "kept": tmp_path / "b"}, fresh=True)
        assert (sum(batches), same) == (3, broken)
        for found in (again, other):
            assert torch.equal(found.values_MD, side.values_MD)
        paths[0].write_bytes((world.folder / "5.png").read_bytes())
        changed, _, _ = cache(world, paths, **options)
        assert sum(batches) == 4
        assert not torch.allclose(changed.values_MD[0], side.values_MD[0])


def test_stored(world: Any, tmp_path: Path) -> None:
    """Stored features take the place of items; those of another width are skipped by name."""
    images = [world.folder / f"{index}.png" for index in range(3)]
    whole, _, _ = cache(world, images)
    np.save(tmp_path / "f.npy", whole.values_MD.numpy())
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
    assert torch.equal(side.row(0)[None], whole.row(0)[None])
    parts = [whole.row(2)[None], whole.row(1)[None], whole.row(2)[None]]
    torch.testing.assert_close(side.row(1)[None], torch.cat(parts))
    vectors_KVE = torch.randn(3, 1, 5)
    joined, _, weights = join_features([(side, table, vectors_KVE)], STANDARDIZED)
    assert (len(joined), weights.tolist()) == (3, [2.0] * 3)  # the row of weight 0 isn't there
    with pytest.raises(ConfigError, match="weight 0"):
        join_features([(side, table.only([0]), vectors_KVE)], STANDARDIZED)
    object.__setattr__(plan, "views", ViewPlan(crop=(0.5, 1.0)))
    with pytest.raises(ConfigError, match="stored features are of whole items"):
        cache_features(plan, tabulate(rows[:1], "video"), tower, None, seed=0)
