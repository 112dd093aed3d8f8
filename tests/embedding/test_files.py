"""Files become vectors once: what the cache knows isn't opened, what is broken is named."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import openbind
from openbind.embedding.cache import FilePart, VectorCache, content_key
from openbind.embedding.files import CHUNK_ITEMS, embed_paths, embed_texts
from openbind.errors import InputError
from openbind.modalities.spec import View


def test_embed_paths(samples: Path, tmp_path: Path) -> None:
    """Same vectors as `encode`; a second time from the cache, whatever the file is called."""
    space = openbind.load("starter", modalities=["image"])
    images = sorted((samples / "images").iterdir())[:2]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    paths = [images[0], broken, tmp_path / "gone.png", images[1]]
    with VectorCache(tmp_path / "vectors.sqlite") as cache:
        vectors_NE, failures = embed_paths(space, "image", paths, cache)
        assert failures.keys() == {1, 2}
        assert failures[2] == "No such file or directory"
        assert np.isnan(vectors_NE[[1, 2]]).all()
        expected = space.encode("image", images)
        assert np.allclose(vectors_NE[[0, 3]], expected, atol=1e-5)
        moved = tmp_path / f"moved{images[1].suffix}"
        shutil.copy(images[1], moved)
        # A vector that no tower would give shows where it came from.
        mark_E = np.eye(1, space.dim, dtype=np.float32)[0]
        cache.put({content_key(images[1], "image", space.fingerprint): mark_E})
        again, failures = embed_paths(space, "image", [moved, images[0]], cache)
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
    image = sorted((samples / "images").iterdir())[0]
    vectors_NE, _ = embed_paths(space, "image", [image])
    assert np.linalg.norm(vectors_NE[0]) == pytest.approx(1, abs=1e-5)


@dataclass(frozen=True, kw_only=True)
class Half(FilePart):
    """The left half of a image, or the right one."""

    left: float

    def read(self) -> Any:
        from openbind.modalities.image import apply_view

        return apply_view(str(self.path), View(box=(0.0, self.left, 1.0, 0.5)))


def test_parts(samples: Path, tmp_path: Path) -> None:
    """Parts of one file have vectors of their own, in the cache, too; a broken one is named."""
    space = openbind.load("starter", modalities=["image"])
    image = sorted((samples / "images").iterdir())[0]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    halves = [Half(path=image, left=left) for left in (0.0, 0.5)]
    items = [halves[0], Half(path=broken, left=0.0), image, halves[1]]
    with VectorCache(tmp_path / "vectors.sqlite") as cache:
        vectors_NE, failures = embed_paths(space, "image", items, cache)
        assert failures.keys() == {1}
        expected = space.encode("image", [half.read() for half in halves])
        assert np.allclose(vectors_NE[[0, 3]], expected, atol=1e-5)
        assert not np.allclose(vectors_NE[0], vectors_NE[3], atol=1e-2)
        again, _ = embed_paths(space, "image", halves[::-1], cache)
        with pytest.raises(InputError):
            items[1].read()  # type: ignore[union-attr]
    assert np.array_equal(again, vectors_NE[[3, 0]])


def test_chunks(samples: Path) -> None:
    """More items than are embedded between two writes keep their places."""
    space = openbind.load("starter", modalities=["image"])
    images = sorted((samples / "images").iterdir())[:3]
    many = [images[index % 3] for index in range(CHUNK_ITEMS + 2)]
    vectors_NE, _ = embed_paths(space, "image", many)
    expected = space.encode("image", images)
    assert np.allclose(
        vectors_NE[[0, CHUNK_ITEMS, CHUNK_ITEMS + 1]], expected[[0, 2, 0]], atol=1e-5
    )


def test_texts(starter: openbind.Space, tmp_path: Path) -> None:
    """One text gives its own vector, several the mean of theirs; a second time from the cache."""
    groups = [["a dog", "dogs"], ["rain", "heavy rain"]]
    single = starter.encode("text", ["a dog", "dogs"])
    mean_E = single.mean(axis=0)
    with VectorCache(tmp_path / "vectors.sqlite") as cache:
        found = embed_texts(starter, "text", groups, cache)
        np.testing.assert_allclose(found[0], mean_E / np.linalg.norm(mean_E), atol=1e-5)
        assert np.array_equal(embed_texts(starter, "text", groups[::-1], cache), found[::-1])
    alone = embed_texts(starter, "text", [["a dog"], ["dogs"]])
    np.testing.assert_allclose(alone, single, atol=1e-5)
