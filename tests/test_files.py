"""Files become vectors once: what the cache knows isn't opened, what is broken is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import openbind
from openbind.cache import VectorCache, content_key
from openbind.files import embed_paths


def test_embed_paths(samples: Path, tmp_path: Path) -> None:
    """Same vectors as `encode`; a second time from the cache, whatever the file is called."""
    space = openbind.load("starter", modalities=["image"])
    pictures = sorted((samples / "images").iterdir())[:2]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    paths = [pictures[0], broken, tmp_path / "gone.png", pictures[1]]
    with VectorCache(tmp_path / "vectors.sqlite") as cache:
        vectors_NE, failures = embed_paths(space, "image", paths, cache)
        assert failures.keys() == {1, 2}
        assert failures[2] == "No such file or directory"
        assert np.isnan(vectors_NE[[1, 2]]).all()
        expected = space.encode("image", pictures)
        assert np.allclose(vectors_NE[[0, 3]], expected, atol=1e-5)
        moved = tmp_path / f"moved{pictures[1].suffix}"
        shutil.copy(pictures[1], moved)
        # A vector that no tower would give shows where it came from.
        mark_E = np.eye(1, space.dim, dtype=np.float32)[0]
        cache.put({content_key(pictures[1], "image", space.fingerprint): mark_E})
        again, failures = embed_paths(space, "image", [moved, pictures[0]], cache)
    assert not failures
    assert np.array_equal(again, [mark_E, vectors_NE[0]])


def test_nothing() -> None:
    """No files, no rows."""
    space = openbind.load("starter", modalities=["image"])
    vectors_NE, failures = embed_paths(space, "image", [])
    assert vectors_NE.shape == (0, space.dim)
    assert not failures


def test_without_cache(samples: Path) -> None:
    """The cache is optional."""
    space = openbind.load("starter", modalities=["image"])
    picture = sorted((samples / "images").iterdir())[0]
    vectors_NE, _ = embed_paths(space, "image", [picture])
    assert np.linalg.norm(vectors_NE[0]) == pytest.approx(1, abs=1e-5)
