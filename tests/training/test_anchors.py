"""Frozen items are embedded once per view, and a run's table is never used for other vectors."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import openbind
from openbind.data.augment import read_augmentations
from openbind.data.table import Anchor
from openbind.data.views import ViewPlan
from openbind.embedding.cache import VectorCache
from openbind.embedding.items import Member, StoredVector
from openbind.space.space import Space
from openbind.training import anchors as module
from openbind.training.anchors import (
    AnchorPlan,
    Anchors,
    embed_anchors,
    load_anchors,
    read_table,
    table_state,
    write_table,
)
from openbind.training.distributed import World

PLAIN = AnchorPlan(modality="image")
CROPS = ViewPlan(count=3, crop=(0.3, 0.8), flip=0.5)
CROPPED = AnchorPlan(modality="image", views=CROPS)
JITTERED = AnchorPlan(
    modality="image", views=CROPS, operations=read_augmentations(["color_jitter"])
)


@pytest.fixture
def space(world: Any) -> Space:
    return openbind.load(world.folder / "start")


def anchors_of(world: Any, *indices: int) -> list[Anchor]:
    paths = [world.folder / f"{index}.png" for index in indices]
    return [Anchor(str(path), path, None) for path in paths]


class CountingCache(VectorCache):
    """Counts the vectors that are written."""

    written = 0

    def put(self, vectors: Any) -> None:
        """Write and count."""
        self.written += len(vectors)
        super().put(vectors)


def test_views(world: Any, space: Space) -> None:
    """Each view has its own vector; the whole item has that of `encode`."""
    items = anchors_of(world, 1, 2)
    plain = embed_anchors(space, PLAIN, items).vectors_KVE
    expected = space.encode("image", [anchor.item for anchor in items])
    assert np.allclose(plain[:, 0].numpy(), expected, atol=1e-6)
    views = embed_anchors(space, CROPPED, items).vectors_KVE
    assert views.shape == (2, 3, 16)
    rows = views.flatten(0, 1)
    assert len(torch.unique(rows, dim=0)) == 6
    assert torch.allclose(rows.norm(dim=1), torch.ones(6), atol=1e-5)


def test_whole_views_are_embedded_once(world: Any, space: Space) -> None:
    """Several views of a whole item are one vector."""
    plan = AnchorPlan(modality="image", views=ViewPlan(count=5))
    assert embed_anchors(space, plan, anchors_of(world, 1, 2)).vectors_KVE.shape == (2, 1, 16)
    augmented = AnchorPlan(
        modality="image", views=ViewPlan(count=5), operations=JITTERED.operations
    )
    found = embed_anchors(space, augmented, anchors_of(world, 1)).vectors_KVE
    assert len(torch.unique(found[0], dim=0)) == 5


def test_cache(world: Any, space: Space, tmp_path: Path) -> None:
    """Vectors are found again; another view, seed, operation or weight is embedded."""
    items = anchors_of(world, 1, 2)
    with CountingCache(tmp_path / "vectors.sqlite") as cache:
        first = embed_anchors(space, CROPPED, items, cache=cache)
        assert cache.written == 6
        again = embed_anchors(space, CROPPED, items, cache=cache)
        assert cache.written == 6
        assert torch.equal(first.vectors_KVE, again.vectors_KVE)
        other_seed = AnchorPlan(modality="image", views=CROPS, seed=1)
        embed_anchors(space, other_seed, items, cache=cache)
        assert cache.written == 12
        jittered = embed_anchors(space, JITTERED, items, cache=cache)
        assert cache.written == 18
        assert not torch.equal(jittered.vectors_KVE, first.vectors_KVE)
        again = embed_anchors(space, JITTERED, items, cache=cache)
        assert cache.written == 18
        assert torch.equal(jittered.vectors_KVE, again.vectors_KVE)
        other = openbind.load(world.folder / "start")
        next(other.towers["vision"].parameters()).data += 1
        embed_anchors(other, CROPPED, items, cache=cache)
        assert cache.written == 24


@pytest.mark.parametrize("plan", [PLAIN, JITTERED])
def test_content(world: Any, space: Space, tmp_path: Path, plan: AnchorPlan) -> None:
    """A file that changed under its name is embedded again, augmented or not."""
    path = tmp_path / "a.png"
    path.write_bytes((world.folder / "1.png").read_bytes())
    with CountingCache(tmp_path / "vectors.sqlite") as cache:
        before = embed_anchors(space, plan, [Anchor("a", path, None)], cache=cache)
        path.write_bytes((world.folder / "39.png").read_bytes())
        after = embed_anchors(space, plan, [Anchor("a", path, None)], cache=cache)
        assert cache.written == 2 * plan.distinct_views
    assert not torch.equal(before.vectors_KVE, after.vectors_KVE)


def test_members(world: Any, space: Space, tmp_path: Path) -> None:
    """A member of an archive has the vectors of the file, augmented too."""
    data = (world.folder / "1.png").read_bytes()
    (tmp_path / "a.tar").write_bytes(b"x" * 10 + data)
    member = Member(tmp_path / "a.tar", "1.png", 10, len(data))
    for plan in (CROPPED, JITTERED):
        items = [Anchor("a", member, None), Anchor("a", world.folder / "1.png", None)]
        inside, outside = embed_anchors(space, plan, items).vectors_KVE
        assert torch.allclose(inside, outside, atol=1e-6)


@pytest.mark.parametrize("plan", [CROPPED, JITTERED])
def test_skipped(world: Any, space: Space, tmp_path: Path, plan: AnchorPlan) -> None:
    """Unusable items have a reason and no vectors; the others are embedded."""
    (tmp_path / "bad.png").write_bytes(b"no image")
    bad = Anchor("bad", tmp_path / "bad.png", None)
    missing = Anchor("missing", tmp_path / "missing.png", None)
    found = embed_anchors(space, plan, [bad, *anchors_of(world, 1), missing])
    assert list(found.skipped) == [0, 2]
    assert "bad.png" in found.skipped[0]
    alone = embed_anchors(space, plan, anchors_of(world, 1))
    assert torch.allclose(found.vectors_KVE, alone.vectors_KVE, atol=1e-6)


def test_stored_vectors(space: Space, tmp_path: Path) -> None:
    """A stored vector is its own embedding in every view; another width is skipped."""
    rows = np.random.default_rng(0).normal(size=(3, 16)).astype(np.float32)
    np.save(tmp_path / "good.npy", rows)
    np.save(tmp_path / "wide.npy", np.ones((1, 17), np.float32))
    stored = [StoredVector(tmp_path / "good.npy", 2), StoredVector(tmp_path / "wide.npy", 0)]
    found = embed_anchors(space, CROPPED, [Anchor(str(s), s, None) for s in stored])
    expected = torch.from_numpy(rows[2] / np.linalg.norm(rows[2]))
    assert torch.allclose(found.vectors_KVE[0], expected.expand(3, 16), atol=1e-6)
    assert list(found.skipped) == [1]


def test_processes(
    world: Any, space: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each process embeds its part, and all have the vectors of one process."""
    (tmp_path / "bad.png").write_bytes(b"no image")
    items = [*anchors_of(world, 1, 2), Anchor("bad", tmp_path / "bad.png", None)]
    items += anchors_of(world, 3)
    whole = embed_anchors(space, CROPPED, items)
    parts: list[Any] = []

    def exchange(value: Any, world: World) -> list[Any]:
        parts.append(value)
        return parts if len(parts) == 2 else [value, value]

    monkeypatch.setattr(module, "gather_objects", exchange)
    embed_anchors(space, CROPPED, items, world=World(rank=0, size=2))
    found = embed_anchors(space, CROPPED, items, world=World(rank=1, size=2))
    assert [len(part[0]) for part in parts] == [2, 2]
    assert torch.allclose(found.vectors_KVE, whole.vectors_KVE, atol=1e-6)
    assert found.skipped == whole.skipped


def test_table(tmp_path: Path) -> None:
    """A table is read only for its state; a broken file counts as none."""
    path = tmp_path / "anchors.safetensors"
    table = Anchors(torch.rand(2, 1, 4), {1: "why"})
    assert read_table(path, "state") is None
    write_table(path, table, "state")
    found = read_table(path, "state")
    assert found is not None
    assert torch.equal(found.vectors_KVE, table.vectors_KVE)
    assert found.skipped == {1: "why"}
    assert read_table(path, "another") is None
    path.write_bytes(b"x" * 100)
    assert read_table(path, "state") is None


def test_tables_opens_no_item(
    world: Any, space: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run's table is read again without embedding."""
    path, items = tmp_path / "anchors.safetensors", anchors_of(world, 1, 2)
    first = load_anchors(space, CROPPED, items, path, world=World())

    def fail(*args: Any, **options: Any) -> Anchors:
        raise AssertionError("embedded again")

    monkeypatch.setattr(module, "embed_anchors", fail)
    again = load_anchors(space, CROPPED, items, path, world=World())
    assert torch.equal(again.vectors_KVE, first.vectors_KVE)


def test_table_depends_on_everything(world: Any, space: Space, tmp_path: Path) -> None:
    """Another space of the same name, data root, plan, or a mended file has another table."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy(world.folder / "1.png", tmp_path / folder / "x.png")
    shutil.copy(world.folder / "2.png", tmp_path / "b" / "x.png")

    def state(space: Space, root: str, plan: AnchorPlan = PLAIN, key: str = "x.png") -> str:
        items: Sequence[Anchor] = [Anchor(key, tmp_path / root / "x.png", None)]
        return table_state(space, plan, items)

    other = openbind.load(world.folder / "start")
    next(other.towers["vision"].parameters()).data += 1
    assert other.name == space.name
    base = state(space, "a")
    assert state(space, "a") == base
    assert state(openbind.load(world.folder / "start"), "a") == base
    different = [state(other, "a"), state(space, "b"), state(space, "a", CROPPED)]
    different.append(state(space, "a", key="y.png"))
    (tmp_path / "a" / "x.png").write_bytes((world.folder / "3.png").read_bytes())
    different.append(state(space, "a"))
    assert len({base, *different}) == 6


def test_stale_tables_are_replaced(world: Any, tmp_path: Path) -> None:
    """After the start's weights changed, a run's vectors are those of the new ones."""
    path, items = tmp_path / "anchors.safetensors", anchors_of(world, 1, 2)
    space = openbind.load(world.folder / "start")
    old = load_anchors(space, PLAIN, items, path, world=World())
    other = openbind.load(world.folder / "start")
    next(other.towers["vision"].parameters()).data += 1
    new = load_anchors(other, PLAIN, items, path, world=World())
    assert not torch.allclose(old.vectors_KVE, new.vectors_KVE)
    expected = other.encode("image", [anchor.item for anchor in items])
    assert np.allclose(new.vectors_KVE[:, 0].numpy(), expected, atol=1e-6)
