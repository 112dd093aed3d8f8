"""A vector is found again by content, modality and space, by any process, after any crash."""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from openbind.embedding.cache import FilePart, KeyMaker, VectorCache, cache_directory, content_key


def test_key_is_the_content(tmp_path: Path) -> None:
    """Name and place don't count; content, modality and space do."""
    (tmp_path / "a.bin").write_bytes(b"same")
    (tmp_path / "b.bin").write_bytes(b"same")
    (tmp_path / "c.bin").write_bytes(b"other")
    key = content_key(tmp_path / "a.bin", "image", "f")
    assert key == content_key(tmp_path / "b.bin", "image", "f")
    others = {
        content_key(tmp_path / "c.bin", "image", "f"),
        content_key(tmp_path / "a.bin", "audio", "f"),
        content_key(tmp_path / "a.bin", "image", "g"),
    }
    assert key not in others
    assert len(others) == 3


@dataclass(frozen=True, kw_only=True)
class Row(FilePart):
    """A row of a file."""

    row: int


@dataclass(frozen=True, kw_only=True)
class Column(FilePart):
    """A column of a file, which has the same number."""

    row: int


def test_key_of_a_part(tmp_path: Path) -> None:
    """Which part, of which kind, of which content; the file's name doesn't count here either."""
    for name, content in (("a", b"same"), ("b", b"same"), ("c", b"other")):
        (tmp_path / name).write_bytes(content)
    key = content_key(Row(path=tmp_path / "a", row=1), "image", "f")
    assert key == content_key(Row(path=tmp_path / "b", row=1), "image", "f")
    others = [
        content_key(tmp_path / "a", "image", "f"),
        content_key(Row(path=tmp_path / "a", row=2), "image", "f"),
        content_key(Row(path=tmp_path / "c", row=1), "image", "f"),
        content_key(Column(path=tmp_path / "a", row=1), "image", "f"),
        content_key(Row(path=tmp_path / "a", row=1), "audio", "f"),
    ]
    assert len({key, *others}) == 6
    assert str(Row(path=tmp_path / "a", row=1)) == str(tmp_path / "a")


def test_key_of_texts() -> None:
    """The texts and where one ends decide, and the space does."""
    maker = KeyMaker("text", "f")
    keys = {
        maker.of_texts(["ab", "c"]),
        maker.of_texts(["a", "bc"]),
        maker.of_texts(["abc"]),
        KeyMaker("text", "g").of_texts(["abc"]),
    }
    assert len(keys) == 4
    assert maker.of_texts(["abc"]) in keys


def test_fill(tmp_path: Path) -> None:
    """Only what isn't there is made, once each; the order is the keys'."""
    asked = []

    def make(places: list[int]) -> np.ndarray:
        asked.append(places)
        return np.array([[10.0 * place] for place in places], np.float32)

    with VectorCache(tmp_path / "v.sqlite") as cache:
        cache.put({b"b": np.array([7], np.float32)})
        found = cache.fill([b"a", b"b", b"c", b"a"], make)
        assert [row[0] for row in found] == [30, 7, 20, 30]
        assert [row[0] for row in cache.fill([b"c", b"a"], make)] == [20, 30]
    assert asked == [[3, 2]]


def test_put_then_get(tmp_path: Path) -> None:
    """What was put is got bit-equal, after closing too; unknown keys are excluded."""
    vector = np.arange(4, dtype=np.float32)
    with VectorCache(tmp_path / "v.sqlite") as cache:
        cache.put({b"k": vector})
    with VectorCache(tmp_path / "v.sqlite") as cache:
        found = cache.get([b"k", b"unknown"])
    assert list(found) == [b"k"]
    np.testing.assert_array_equal(found[b"k"], vector)


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
