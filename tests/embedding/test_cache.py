"""A vector is found again by content, modality and space, by any process, after any crash."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np

from openbind.embedding.cache import VectorCache, cache_directory


def test_put_then_get(tmp_path: Path) -> None:
    """What was put is got bit-equal, after closing too; unknown keys are excluded."""
    vector = np.arange(4, dtype=np.float32)
    with VectorCache(tmp_path / "v.sqlite") as cache:
        cache.put({b"k": vector})
    with VectorCache(tmp_path / "v.sqlite") as cache:
        found = cache.get([b"k", b"unknown"])
    assert list(found) == [b"k"]
    np.testing.assert_array_equal(found[b"k"], vector)


def test_more_keys_than_a_query_takes(tmp_path: Path) -> None:
    """Thousands of keys are looked up at once, repeated ones too."""
    keys = [str(number).encode() for number in range(1_203)]
    with VectorCache(tmp_path / "v.sqlite") as cache:
        cache.put({key: np.full(2, int(key), np.float32) for key in keys})
        found = cache.get([*keys, *keys[:3], b"unknown"])
    assert len(found) == len(keys)
    assert all(found[key][0] == int(key) for key in keys)


def _write(path: Path, start: int) -> None:
    with VectorCache(path) as cache:
        for number in range(start, start + 50):
            cache.put({str(number).encode(): np.full(3, number, np.float32)})


def test_two_processes_at_once(tmp_path: Path) -> None:
    """Two writers don't lose or mix anything."""
    path = tmp_path / "v.sqlite"
    VectorCache(path).close()
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(path, start)) for start in (0, 50)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    with VectorCache(path) as cache:
        found = cache.get([str(number).encode() for number in range(100)])
    assert all(found[str(n).encode()].tolist() == [n] * 3 for n in range(100))


def test_directory_can_be_chosen(tmp_path: Path, monkeypatch: object) -> None:
    """$OPENBIND_CACHE says where."""
    monkeypatch.setenv("OPENBIND_CACHE", str(tmp_path / "here"))  # type: ignore[attr-defined]
    assert cache_directory() == tmp_path / "here"
