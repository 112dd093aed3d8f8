"""The atlas is bounded: few sizes, one map at a time, the last few cached."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import openbind
from openbind import Index
from openbind.evaluation.projection import Method
from openbind.serving.atlas import CACHED_MAPS, COUNTS, Atlas, place
from openbind.serving.hits import PublicIds
from openbind.serving.work import OverloadedError

IDS = PublicIds(b"secret")
Make = Callable[..., Index]


@pytest.fixture
def make(starter: openbind.Space, media: Path, tmp_path: Path) -> Make:
    """Index copies of some files."""

    def create(*names: str) -> Index:
        (tmp_path / "few").mkdir()
        for name in names:
            shutil.copy(media / name, tmp_path / "few")
        index = Index.create(tmp_path / "index", starter, [tmp_path / "few"])
        index.update(starter)
        return index

    return create


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_few_rows(make: Make, count: int) -> None:
    """An index of hardly anything has a map too."""
    atlas = Atlas(make(*("dog.webp", "rain.webp", "rain.ogg")[:count]), IDS)
    for method in get_args(Method):
        points = atlas.draw(10, method).result(60).data
        assert len(points) == count
        assert all(np.isfinite([point.x, point.y]).all() for point in points)
    atlas.close()


def test_maps_are_cached(make: Make, starter: openbind.Space, media: Path, tmp_path: Path) -> None:
    """Counts share a few sizes; a map is computed again once the index has changed."""
    index = make("dog.webp")
    atlas = Atlas(index, IDS)
    first = atlas.draw(10, "pca").result(60)
    assert atlas.draw(COUNTS[0], "pca").result(60) is first
    assert atlas.draw(COUNTS[0] + 1, "pca").result(60) is not first
    shutil.copy(media / "rain.webp", tmp_path / "few")
    index.update(starter)
    assert len(atlas.draw(10, "pca").result(60).data) == 2
    for count in (COUNTS * 2)[: CACHED_MAPS + 2]:
        for method in get_args(Method):
            atlas.draw(count, method).result(60)
    assert len(atlas._maps) == CACHED_MAPS
    atlas.close()


def test_one_map_at_a_time(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one is computed, others who want it share it, and any other map is rejected."""
    index, gate = make("dog.webp"), threading.Event()
    sample = index.sample
    monkeypatch.setattr(index, "sample", lambda *given: gate.wait(30) and sample(*given))
    atlas = Atlas(index, IDS)
    first = atlas.draw(10, "pca")
    assert atlas.draw(20, "pca") is first
    with pytest.raises(OverloadedError):
        atlas.draw(10, "tsne")
    gate.set()
    first.result(60)
    assert atlas.draw(10, "tsne").result(60).method == "tsne"
    atlas.close()


def test_a_failed_map_is_not_cached(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next request computes it again."""
    index = make("dog.webp")
    atlas = Atlas(index, IDS)
    with monkeypatch.context() as broken:
        broken.setattr(index, "sample", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            atlas.draw(10, "pca").result(60)
    assert len(atlas.draw(10, "pca").result(60).data) == 1
    atlas.close()


def test_the_rest_lies_beside_its_nearest() -> None:
    """A vector that isn't projected lies where its like do; all stay on the map."""
    vectors_NE = np.eye(8, dtype=np.float32)[np.arange(40) % 8]
    points_M2 = np.random.default_rng(0).random((8, 2))
    placed_N2 = place(vectors_NE, points_M2)
    assert placed_N2.shape == (40, 2)
    np.testing.assert_allclose(placed_N2, points_M2[np.arange(40) % 8], atol=1e-3)
