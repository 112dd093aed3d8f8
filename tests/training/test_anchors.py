"""A frozen item is embedded once for each view, by weights, settings, content and view."""

from __future__ import annotations

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
from openbind.embedding.items import StoredVector
from openbind.space.space import Space
from openbind.training.anchors import (
    AnchorPlan,
    Anchors,
    embed_anchors,
    read_anchors,
    write_anchors,
)

PLAIN = AnchorPlan(modality="image", views=ViewPlan())
CROPPED = AnchorPlan(modality="image", views=ViewPlan(count=3, crop=(0.3, 0.8), flip=0.5))


@pytest.fixture
def space(world: Any) -> Space:
    return openbind.load(world.folder / "start")


def anchors_of(world: Any, *indices: int) -> list[Anchor]:
    paths = [world.folder / f"{index}.png" for index in indices]
    return [Anchor(str(path), path, None) for path in paths]


class Counting(VectorCache):
    """Counts what is written."""

    written = 0

    def put(self, vectors: Any) -> None:
        """Write and count."""
        self.written += len(vectors)
        super().put(vectors)


def test_views(world: Any, space: Space) -> None:
    """Each view has its own vector, and the whole item the one that `encode` gives."""
    items = anchors_of(world, 1, 2)
    plain = embed_anchors(space, PLAIN, items, None).vectors_KVE
    expected = space.encode("image", [anchor.item for anchor in items])
    assert np.allclose(plain[:, 0].numpy(), expected, atol=1e-6)
    views = embed_anchors(space, CROPPED, items, None).vectors_KVE
    assert views.shape == (2, 3, 16)
    rows = views.flatten(0, 1)
    assert len(torch.unique(rows, dim=0)) == 6
    assert torch.allclose(rows.norm(dim=1), torch.ones(6), atol=1e-5)


def test_cache(world: Any, space: Space, tmp_path: Path) -> None:
    """A second time nothing is embedded; another view, seed, operation or weight is."""
    items = anchors_of(world, 1, 2)
    jitter = read_augmentations(["color_jitter"])
    with Counting(tmp_path / "vectors.sqlite") as cache:
        first = embed_anchors(space, CROPPED, items, cache)
        assert cache.written == 6
        again = embed_anchors(space, CROPPED, items, cache)
        assert cache.written == 6
        assert torch.equal(first.vectors_KVE, again.vectors_KVE)
        other_seed = AnchorPlan(modality="image", views=CROPPED.views, seed=1)
        embed_anchors(space, other_seed, items, cache)
        assert cache.written == 12
        changed = AnchorPlan(modality="image", views=CROPPED.views, operations=jitter)
        found = embed_anchors(space, changed, items, cache)
        assert cache.written == 18
        assert not torch.equal(found.vectors_KVE, first.vectors_KVE)
        next(space.towers["vision"].parameters()).data += 1
        embed_anchors(space, CROPPED, items, cache)
        assert cache.written == 24


def test_content(world: Any, space: Space, tmp_path: Path) -> None:
    """A file that changed under its name is re-embedded."""
    path = tmp_path / "a.png"
    path.write_bytes((world.folder / "1.png").read_bytes())
    with Counting(tmp_path / "vectors.sqlite") as cache:
        before = embed_anchors(space, PLAIN, [Anchor("a", path, None)], cache)
        path.write_bytes((world.folder / "39.png").read_bytes())
        after = embed_anchors(space, PLAIN, [Anchor("a", path, None)], cache)
        assert cache.written == 2
    assert not torch.equal(before.vectors_KVE, after.vectors_KVE)


def test_broken(world: Any, space: Space, tmp_path: Path) -> None:
    """Items that can't be used are NaN and have a reason; the others are embedded."""
    (tmp_path / "bad.png").write_bytes(b"no image")
    bad = Anchor("bad", tmp_path / "bad.png", None)
    missing = Anchor("missing", tmp_path / "missing.png", None)
    found = embed_anchors(space, CROPPED, [bad, *anchors_of(world, 1), missing], None)
    assert sorted(found.broken) == [0, 2]
    assert found.vectors_KVE[[0, 2]].isnan().all()
    assert not found.vectors_KVE[1].isnan().any()


def test_vectors(space: Space, tmp_path: Path) -> None:
    """A stored vector is its own embedding, in every view; one of another width is broken."""
    rows = np.random.default_rng(0).normal(size=(3, 16)).astype(np.float32)
    np.save(tmp_path / "good.npy", rows)
    np.save(tmp_path / "wide.npy", np.ones((1, 17), np.float32))
    stored = [StoredVector(tmp_path / "good.npy", 2), StoredVector(tmp_path / "wide.npy", 0)]
    found = embed_anchors(space, CROPPED, [Anchor(str(s), s, None) for s in stored], None)
    expected = torch.from_numpy(rows[2] / np.linalg.norm(rows[2]))
    assert torch.allclose(found.vectors_KVE[0], expected.expand(3, 16), atol=1e-6)
    assert list(found.broken) == [1]


def test_parts(world: Any, space: Space) -> None:
    """Processes that take their parts have together what one has."""
    items = anchors_of(world, 1, 2, 3)
    whole = embed_anchors(space, CROPPED, items, None).vectors_KVE
    for rank in (0, 1):
        part = embed_anchors(space, CROPPED, items, None, part=slice(rank, None, 2)).vectors_KVE
        assert torch.allclose(part[rank::2], whole[rank::2], atol=1e-6)
        assert part[1 - rank :: 2].isnan().all()


def test_file(tmp_path: Path) -> None:
    """A run's table is read back for the same plan alone; a broken file counts as none."""
    path = tmp_path / "anchors.safetensors"
    table = Anchors(torch.rand(2, 1, 4), {1: "why"})
    assert read_anchors(path, "digest") is None
    write_anchors(path, table, "digest")
    found = read_anchors(path, "digest")
    assert found is not None
    assert torch.equal(found.vectors_KVE, table.vectors_KVE)
    assert found.broken == {1: "why"}
    assert read_anchors(path, "another") is None
    path.write_bytes(b"x" * 100)
    assert read_anchors(path, "digest") is None
