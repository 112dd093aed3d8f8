"""A vector is found again by content, modality and space, by any process, after any crash."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from openbind.embedding import cache as caching
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


def test_a_flipped_bit_is_a_miss(tmp_path: Path) -> None:
    """An entry whose checksum is wrong counts as none; the others are found."""
    path = tmp_path / "v.sqlite"
    with VectorCache(path) as cache:
        cache.put({b"a": np.ones(4, np.float32), b"b": np.ones(4, np.float32)})
    flipped = np.ones(4, np.float32)
    flipped.view(np.uint32)[0] ^= 1
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE entries SET vector = ? WHERE key = ?", (flipped.tobytes(), b"a"))
    with VectorCache(path) as cache:
        assert list(cache.get([b"a", b"b"])) == [b"b"]


def harm_file(path: Path) -> None:
    path.write_bytes(b"no database at all" * 500)


def harm_pages(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[100:] = os.urandom(len(content) - 100)
    path.write_bytes(content)


def harm_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DROP TABLE entries")
        database.execute("CREATE TABLE entries (key, vector, digest)")
        database.execute("INSERT INTO entries VALUES (?, 5, 'x')", (b"k",))


def harm_place(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("harm", [harm_file, harm_pages, harm_table, harm_place])
def test_a_damaged_file(
    tmp_path: Path, harm: Callable[[Path], None], recwarn: pytest.WarningsRecorder
) -> None:
    """There is one warning that names the file, and no vector comes from it."""
    path = tmp_path / "v.sqlite"
    with VectorCache(path) as cache:
        cache.put({str(n).encode(): np.full(512, n, np.float32) for n in range(50)})
        cache.put({b"k": np.ones(512, np.float32)})
    for side in tmp_path.glob("v.sqlite-*"):
        side.unlink()
    harm(path)
    with VectorCache(path) as cache:
        assert cache.get([b"k", b"1"]) == {}
        cache.put({b"k": np.ones(512, np.float32)})
        cache.get([b"k"])
    (warned,) = recwarn
    assert str(path) in str(warned.message)


def test_a_read_only_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    """What is in it is found; nothing is written, after one warning."""
    path = tmp_path / "v.sqlite"
    with VectorCache(path) as cache:
        cache.put({b"k": np.ones(4, np.float32)})

    def refuse(path: Path) -> sqlite3.Connection:
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(caching, "_open", refuse)
    with VectorCache(path) as cache:
        assert list(cache.get([b"k"])) == [b"k"]
        cache.put({b"l": np.ones(4, np.float32)})
        assert list(cache.get([b"k", b"l"])) == [b"k"]
    assert "readonly" in str(recwarn.pop().message)
    assert not recwarn.list


def test_a_full_disk(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    """What can't be written isn't; the run goes on with one warning."""
    with VectorCache(tmp_path / "v.sqlite") as cache:
        cache.put({b"k": np.ones(4, np.float32)})
        assert cache._database is not None
        cache._database.execute("PRAGMA max_page_count = 1")
        many = {str(n).encode(): np.ones(512, np.float32) for n in range(100)}
        cache.put(many)
        cache.put(many)
        assert list(cache.get([b"k", b"1"])) == [b"k"]
    assert "full" in str(recwarn.pop().message)
    assert not recwarn.list
