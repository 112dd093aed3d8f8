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
from openbind.training.anchors import AnchorPlan, describe_anchors, load_anchors

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
    return [Anchor(path.name, path, None) for path in paths]


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
    plain = load_anchors(space, PLAIN, items).vectors_KVE
    expected = space.encode("image", [anchor.item for anchor in items])
    assert np.allclose(plain[:, 0].numpy(), expected, atol=1e-6)
    views = load_anchors(space, CROPPED, items).vectors_KVE
    assert views.shape == (2, 3, 16)
    rows = views.flatten(0, 1)
    assert len(torch.unique(rows, dim=0)) == 6
    assert torch.allclose(rows.norm(dim=1), torch.ones(6), atol=1e-5)


def test_whole_views_are_embedded_once(world: Any, space: Space) -> None:
    """Several views of a whole item are one vector."""
    plan = AnchorPlan(modality="image", views=ViewPlan(count=5))
    assert load_anchors(space, plan, anchors_of(world, 1, 2)).vectors_KVE.shape == (2, 1, 16)
    augmented = AnchorPlan(
        modality="image", views=ViewPlan(count=5), operations=JITTERED.operations
    )
    found = load_anchors(space, augmented, anchors_of(world, 1)).vectors_KVE
    assert len(torch.unique(found[0], dim=0)) == 5


def test_cache(world: Any, space: Space, tmp_path: Path) -> None:
    """Vectors are found again; another view, seed, operation or weight is embedded."""
    items = anchors_of(world, 1, 2)
    with CountingCache(tmp_path / "vectors.sqlite") as cache:
        first = load_anchors(space, CROPPED, items, cache=cache)
        assert cache.written == 6
        again = load_anchors(space, CROPPED, items, cache=cache)
        assert cache.written == 6
        assert torch.equal(first.vectors_KVE, again.vectors_KVE)
        other_seed = AnchorPlan(modality="image", views=CROPS, seed=1)
        load_anchors(space, other_seed, items, cache=cache)
        assert cache.written == 12
        jittered = load_anchors(space, JITTERED, items, cache=cache)
        assert cache.written == 18
        assert not torch.equal(jittered.vectors_KVE, first.vectors_KVE)
        again = load_anchors(space, JITTERED, items, cache=cache)
        assert cache.written == 18
        assert torch.equal(jittered.vectors_KVE, again.vectors_KVE)
        other = openbind.load(world.folder / "start")
        next(other.towers["vision"].parameters()).data += 1
        load_anchors(other, CROPPED, items, cache=cache)
        assert cache.written == 24


@pytest.mark.parametrize("plan", [PLAIN, JITTERED])
def test_content(world: Any, space: Space, tmp_path: Path, plan: AnchorPlan) -> None:
    """A file that changed under its name is embedded again, augmented or not."""
    path = tmp_path / "a.png"
    path.write_bytes((world.folder / "1.png").read_bytes())
    with CountingCache(tmp_path / "vectors.sqlite") as cache:
        before = load_anchors(space, plan, [Anchor("a", path, None)], cache=cache)
        path.write_bytes((world.folder / "39.png").read_bytes())
        after = load_anchors(space, plan, [Anchor("a", path, None)], cache=cache)
        assert cache.written == 2 * plan.distinct_views
    assert not torch.equal(before.vectors_KVE, after.vectors_KVE)


def test_members(world: Any, space: Space, tmp_path: Path) -> None:
    """A member of an archive has the vectors of the file, augmented too."""
    data = (world.folder / "1.png").read_bytes()
    (tmp_path / "a.tar").write_bytes(b"x" * 10 + data)
    member = Member(tmp_path / "a.tar", "1.png", 10, len(data))
    for plan in (CROPPED, JITTERED):
        items = [Anchor("a", member, None), Anchor("a", world.folder / "1.png", None)]
        inside, outside = load_anchors(space, plan, items).vectors_KVE
        assert torch.allclose(inside, outside, atol=1e-6)


@pytest.mark.parametrize("plan", [CROPPED, JITTERED])
def test_skipped(world: Any, space: Space, tmp_path: Path, plan: AnchorPlan) -> None:
    """Unusable items have a reason and no vectors; the others are embedded."""
    (tmp_path / "bad.png").write_bytes(b"no image")
    bad = Anchor("bad", tmp_path / "bad.png", None)
    missing = Anchor("missing", tmp_path / "missing.png", None)
    found = load_anchors(space, plan, [bad, *anchors_of(world, 1), missing])
    assert list(found.skipped) == [0, 2]
    assert "bad.png" in found.skipped[0]
    alone = load_anchors(space, plan, anchors_of(world, 1))
    assert torch.allclose(found.vectors_KVE, alone.vectors_KVE, atol=1e-6)


def test_stored_vectors(space: Space, tmp_path: Path) -> None:
    """A stored vector is its own embedding in every view; another width is skipped."""
    rows = np.random.default_rng(0).normal(size=(3, 16)).astype(np.float32)
    np.save(tmp_path / "good.npy", rows)
    np.save(tmp_path / "wide.npy", np.ones((1, 17), np.float32))
    stored = [StoredVector(tmp_path / "good.npy", 2), StoredVector(tmp_path / "wide.npy", 0)]
    found = load_anchors(space, CROPPED, [Anchor(str(s), s, None) for s in stored])
    expected = torch.from_numpy(rows[2] / np.linalg.norm(rows[2]))
    assert torch.allclose(found.vectors_KVE[0], expected.expand(3, 16), atol=1e-6)
    assert list(found.skipped) == [1]


def test_tables_open_no_item(
    world: Any, space: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run's vectors are read again without embedding, under another spelling of the data too."""
    items = anchors_of(world, 1, 2)
    first = load_anchors(space, CROPPED, items, tmp_path / "rows")
    monkeypatch.setattr(module, "embed_many", None)
    again = load_anchors(space, CROPPED, items, tmp_path / "rows")
    assert torch.equal(again.vectors_KVE, first.vectors_KVE)
    (tmp_path / "link").symlink_to(world.folder)
    linked = [Anchor(a.key, tmp_path / "link" / Path(str(a.item)).name, None) for a in items]
    again = load_anchors(space, CROPPED, linked, tmp_path / "rows")
    assert torch.equal(again.vectors_KVE, first.vectors_KVE)


def test_vectors_are_mapped(world: Any, space: Space, tmp_path: Path) -> None:
    """Processes share the file's pages instead of having copies."""
    found = load_anchors(space, PLAIN, anchors_of(world, 1, 2), tmp_path / "rows")
    start = found.vectors_KVE.data_ptr()
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, last = (int(number, 16) for number in line.split()[0].split("-"))
        if first <= start < last:
            assert line.endswith("values.npy")


def test_killed_in_the_middle(world: Any, space: Space, tmp_path: Path) -> None:
    """What was embedded before a run was killed isn't embedded again."""
    items = anchors_of(world, *range(20))  # blocks of 8, 8 and 4

    opened: list[str] = []

    def count(space: Space, entries: Any, **options: Any) -> Any:
        for row in embed(space, entries, **options):
            opened.append(row.entry.item.name)
            if len(opened) == 18:
                raise KeyboardInterrupt
            yield row

    embed, folder = module.embed_many, tmp_path / "rows"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "embed_many", count)
        with pytest.raises(KeyboardInterrupt):
            load_anchors(space, PLAIN, items, folder)
        opened.clear()
        found = load_anchors(space, PLAIN, items, folder)
    assert opened == ["16.png", "17.png", "18.png", "19.png"]
    whole = load_anchors(space, PLAIN, items)
    assert torch.allclose(found.vectors_KVE, whole.vectors_KVE, atol=1e-6)


def test_state_depends_on_everything(world: Any, space: Space, tmp_path: Path) -> None:
    """Another space of the same name, plan, name, or a mended file has another state."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy(world.folder / "1.png", tmp_path / folder / "x.png")
    shutil.copy(world.folder / "2.png", tmp_path / "b" / "x.png")

    def state(space: Space, root: str, plan: AnchorPlan = PLAIN, key: str = "x.png") -> str:
        items: Sequence[Anchor] = [Anchor(key, tmp_path / root / "x.png", None)]
        return describe_anchors(space, plan, items, range(1))

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


def test_stale_vectors_are_replaced(world: Any, tmp_path: Path) -> None:
    """After the start's weights changed, a run's vectors are those of the new ones."""
    path, items = tmp_path / "rows", anchors_of(world, 1, 2)
    space = openbind.load(world.folder / "start")
    old = load_anchors(space, PLAIN, items, path).vectors_KVE.clone()
    other = openbind.load(world.folder / "start")
    next(other.towers["vision"].parameters()).data += 1
    new = load_anchors(other, PLAIN, items, path).vectors_KVE
    assert not torch.allclose(old, new)
    expected = other.encode("image", [anchor.item for anchor in items])
    assert np.allclose(new[:, 0].numpy(), expected, atol=1e-6)
