"""Many items become vectors: what is known isn't computed, what fails is named, order holds."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import openbind
from openbind.embedding.cache import VectorCache
from openbind.embedding.items import Ensemble, FilePart, Item, StoredVector
from openbind.embedding.many import (
    WRITES,
    Entry,
    collect,
    compute_many,
    embed_many,
    view_keys,
)
from openbind.errors import InputError
from openbind.modalities.spec import Sample, View
from openbind.space.decoding import Decoder


def embed(space: openbind.Space, entries: list[Entry], **options: Any) -> tuple[Any, Any]:
    return collect(embed_many(space, entries, **options), len(entries), space.dim)


@pytest.fixture
def images(samples: Path) -> list[Path]:
    return sorted((samples / "images").iterdir())[:3]


@pytest.fixture
def sounds(samples: Path) -> list[Path]:
    return sorted((samples / "sounds").iterdir())[:2]


def test_mixed_modalities_in_order(
    starter: openbind.Space, images: list[Path], sounds: list[Path], tmp_path: Path
) -> None:
    """Rows are those of `encode`; broken items keep their index and say why."""
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    entries = [
        Entry("image", images[0]),
        Entry("text", "a dog"),
        Entry("image", broken),
        Entry("audio", sounds[0]),
        Entry("image", tmp_path / "gone.png"),
        Entry("image", images[1].read_bytes()),
    ]
    rows = list(embed_many(starter, iter(entries)))
    assert [row.index for row in rows] == list(range(6))
    assert [row.entry for row in rows] == entries
    assert [row.error is not None for row in rows] == [False, False, True, False, True, False]
    failure = rows[4].failure
    assert failure is not None
    assert failure.name == (tmp_path / "gone.png").as_posix()
    vectors_NE, errors = embed(starter, entries)
    assert errors.keys() == {2, 4}
    assert np.isnan(vectors_NE[[2, 4]]).all()
    expected = [
        starter.encode("image", images[0]),
        starter.encode("text", "a dog"),
        starter.encode("audio", sounds[0]),
        starter.encode("image", images[1]),
    ]
    np.testing.assert_allclose(vectors_NE[[0, 1, 3, 5]], expected, atol=1e-5)


@pytest.mark.parametrize("processes", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_options_change_nothing(
    starter: openbind.Space, images: list[Path], processes: bool
) -> None:
    """Batch size, workers, processes and device decide the speed alone."""
    entries = [Entry("image", path) for path in images]
    options = {"batch_size": 2, "workers": 1, "device": "cpu", "processes": processes}
    found, _ = embed(starter, entries, **options)
    np.testing.assert_allclose(found, starter.encode("image", images), atol=1e-5)


def test_cache_by_content(starter: openbind.Space, images: list[Path], tmp_path: Path) -> None:
    """What is known is taken from the cache, whatever the file is called now."""
    with VectorCache(tmp_path / "vectors.sqlite") as cache:
        first, _ = embed(starter, [Entry("image", path) for path in images], cache=cache)
        moved = tmp_path / f"moved{images[1].suffix}"
        shutil.copy(images[1], moved)
        # A vector that no tower computes shows where it came from.
        mark_E = np.eye(1, starter.dim, dtype=np.float32)[0]
        (key,) = view_keys(starter.identity("image"), Entry("image", images[1]))
        cache.put({key: mark_E})
        again, errors = embed(
            starter, [Entry("image", moved), Entry("image", images[0])], cache=cache
        )
    assert not errors
    np.testing.assert_array_equal(again, [mark_E, first[0]])


def test_another_space_shares_nothing(
    starter: openbind.Space, images: list[Path], tmp_path: Path
) -> None:
    """Keys contain the identity of the modality, not the name of the space."""
    entry = Entry("image", images[0])
    other = starter.with_settings("image", size=128)
    keys = [view_keys(space.identity("image"), entry) for space in (starter, other)]
    assert keys[0] != keys[1]


def test_a_run_that_ends_early_keeps_its_work(starter: openbind.Space, tmp_path: Path) -> None:
    """What was yielded is in the cache when the reader stops."""
    entries = [Entry("text", f"number {number}") for number in range(WRITES + 30)]
    with VectorCache(tmp_path / "vectors.sqlite") as cache:
        rows = embed_many(starter, entries, cache=cache)
        for _ in range(WRITES + 10):
            row = next(rows)
        rows.close()  # type: ignore[attr-defined]
        keys = [view_keys(starter.identity("text"), e)[0] for e in entries[: row.index + 1]]
        assert len(cache.get(keys)) == WRITES + 10


@dataclass(frozen=True, kw_only=True)
class Half(FilePart):
    """The left half of an image, or the right one."""

    left: float

    def read(self) -> Any:
        from openbind.modalities.image import apply_view

        return apply_view(str(self.path), View(box=(0.0, self.left, 1.0, 0.5)))


def test_views_and_parts(starter: openbind.Space, images: list[Path], tmp_path: Path) -> None:
    """Each view has a vector and a key of its own, equal to that of the same part of a file."""
    views = tuple(View(box=(0.0, left, 1.0, 0.5)) for left in (0.0, 0.5))
    entries: list[Entry] = [Entry("image", images[0], views)]
    parts: list[Item] = [Half(path=images[0], left=left) for left in (0.0, 0.5)]
    with VectorCache(tmp_path / "vectors.sqlite") as cache:
        (row,) = embed_many(starter, entries, cache=cache)
        found, _ = embed(starter, [Entry("image", part) for part in parts], cache=cache)
        (one,) = embed_many(starter, [Entry("image", images[0], views[:1])], cache=cache)
    assert row.vectors_VE is not None
    np.testing.assert_allclose(row.vectors_VE, found, atol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 1e-2
    np.testing.assert_array_equal(one.vectors_VE, row.vectors_VE[:1])


def test_ensembles_and_stored_vectors(starter: openbind.Space, tmp_path: Path) -> None:
    """Several texts share the mean of their vectors; a stored vector is taken as it is."""
    single = starter.encode("text", ["a dog", "dogs"])
    np.save(tmp_path / "v.npy", 3 * single)
    entries = [
        Entry("text", Ensemble(("a dog", "dogs"))),
        Entry("text", StoredVector(tmp_path / "v.npy", 1)),
        Entry("text", StoredVector(tmp_path / "v.npy", 9)),
    ]
    with VectorCache(tmp_path / "vectors.sqlite") as cache:
        found, errors = embed(starter, entries, cache=cache)
        again, _ = embed(starter, entries[:1], cache=cache)
    mean_E = single.mean(axis=0)
    np.testing.assert_allclose(found[0], mean_E / np.linalg.norm(mean_E), atol=1e-5)
    np.testing.assert_allclose(found[1], single[1], atol=1e-6)
    assert errors.keys() == {2}
    np.testing.assert_array_equal(again[0], found[0])


def test_errors_as_the_caller_wants(starter: openbind.Space, images: list[Path]) -> None:
    """Raise, warn, or call."""
    entries = [Entry("image", images[0]), Entry("image", b"no image")]
    with pytest.raises(InputError):
        list(embed_many(starter, entries, on_error="raise"))
    with pytest.warns(UserWarning, match="8 bytes"):
        list(embed_many(starter, entries, on_error="warn"))
    noted: list[int] = []
    list(embed_many(starter, entries, on_error=lambda index, error: noted.append(index)))
    assert noted == [1]


def test_any_function_of_clips(starter: openbind.Space, sounds: list[Path]) -> None:
    """`compute_many` returns a row for each clip, of whatever width."""
    entries = [Entry("audio", sounds[0]), Entry("audio", b"no sound")]
    results = list(
        compute_many(
            starter.decoder, entries, lambda modality, clips: clips.flatten(1).mean(dim=1)[:, None]
        )
    )
    clips = starter.preprocess("audio", sounds[0])[0]
    (vectors,) = results[0].vectors
    np.testing.assert_allclose(vectors[:, 0], clips.flatten(1).mean(dim=1), rtol=1e-5)
    assert results[0].task == entries[0]
    assert results[1].error is not None


class PanicException(BaseException):
    """What libraries in Rust raise when they panic: no `Exception`."""


@pytest.mark.parametrize(
    "kind", [MemoryError, OverflowError, RuntimeError, PanicException, KeyError]
)
def test_whatever_a_decoder_raises(
    starter: openbind.Space,
    images: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[BaseException],
) -> None:
    """The item is named, and the run goes on."""
    prepare = Decoder.prepare

    def faulty(decoder: Decoder, modality: str, *changes: Any) -> Any:
        read = prepare(decoder, modality, *changes)

        def preprocess(item: Any) -> Sample:
            if str(item) == str(images[1]):
                raise kind("no use")
            return read(item)

        return preprocess

    monkeypatch.setattr(Decoder, "prepare", faulty)
    with VectorCache(tmp_path / "v.sqlite") as cache:
        rows = list(embed_many(starter, [Entry("image", p) for p in images[:3]], cache=cache))
    assert [row.vectors_VE is None for row in rows] == [False, True, False]
    assert rows[1].failure is not None
    assert rows[1].failure.item == images[1]
    assert kind.__name__ in rows[1].failure.reason
    with pytest.raises(InputError) as refused:
        starter.encode("image", images[:3])
    assert refused.value.item == str(images[1])


def test_settings_of_an_entry(starter: openbind.Space, tmp_path: Path) -> None:
    """They decide the vector, and the key under which it is cached."""
    path = tmp_path / "map.png"
    slope_HW = np.linspace(500, 20_000, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(slope_HW).save(path)
    chosen = ((("units", "kitti"),), (("units", 5000),))
    with VectorCache(tmp_path / "v.sqlite") as cache:
        for _ in range(2):
            entries = [Entry("depth", path, settings=settings) for settings in chosen]
            found = [row.vectors_VE for row in embed_many(starter, entries, cache=cache)]
            for settings, row in zip(chosen, found, strict=True):
                expected = starter.with_settings("depth", **dict(settings)).encode("depth", [path])
                np.testing.assert_allclose(row, expected, atol=1e-5)
