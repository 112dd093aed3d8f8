"""The map: modalities' means taken off, in the unit square, computed once."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import openbind
from openbind import Index
from openbind.serving.atlas import Atlas, Method, center, flatten


def test_center() -> None:
    """Each modality's mean is taken off; two islands of the same shape lie on each other."""
    shape_NE = np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32)
    shape_NE -= shape_NE.mean(axis=0)
    both_NE = np.concatenate([shape_NE + 5, shape_NE - 3])
    centerd_NE = center(["a"] * 20 + ["b"] * 20, both_NE)
    np.testing.assert_allclose(centerd_NE[:20], centerd_NE[20:], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(centerd_NE, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(center(["a"], shape_NE[:1]), 0)


def test_flatten() -> None:
    """Points on a plane in many dimensions keep their two directions."""
    rng = np.random.default_rng(0)
    plane_N2 = rng.uniform(size=(50, 2)) * [10, 1]
    turned, _ = np.linalg.qr(rng.normal(size=(8, 8)))
    placed_N2 = flatten((plane_N2 @ turned[:2]).astype(np.float32))
    assert placed_N2.min() == 0
    assert placed_N2.max() == 1
    correlation = np.corrcoef(placed_N2[:, 0], plane_N2[:, 0])[0, 1]
    assert abs(correlation) > 0.999


@pytest.mark.parametrize("rows", [0, 1, 2, 3])
def test_few_rows(starter: openbind.Space, media: Path, tmp_path: Path, rows: int) -> None:
    """An index of hardly anything has a map too."""
    (tmp_path / "few").mkdir()
    for name in ("dog.webp", "rain.webp", "rain.ogg")[:rows]:
        shutil.copy(media / name, tmp_path / "few")
    index = Index.create(tmp_path / "index", starter, [tmp_path / "few"])
    index.update(starter)
    for method in get_args(Method):
        dots = Atlas(index).draw(10, method).data
        assert len(dots) == rows
        assert all(np.isfinite([dot.x, dot.y]).all() for dot in dots)


def test_a_map_is_kept(starter: openbind.Space, media: Path, tmp_path: Path) -> None:
    """Until the index has other rows."""
    (tmp_path / "few").mkdir()
    shutil.copy(media / "dog.webp", tmp_path / "few")
    index = Index.create(tmp_path / "index", starter, [tmp_path / "few"])
    index.update(starter)
    atlas = Atlas(index)
    first = atlas.draw(10, "pca")
    assert atlas.draw(10, "pca") is first
    assert atlas.draw(9, "pca") is not first
    shutil.copy(media / "rain.webp", tmp_path / "few")
    index.update(starter)
    assert len(atlas.draw(10, "pca").data) == 2
