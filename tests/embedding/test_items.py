"""An item is opened, named and hashed by what it is, wherever it lies; vectors are checked."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from openbind.embedding.items import (
    Ensemble,
    FilePart,
    Item,
    Member,
    StoredFeatures,
    StoredVector,
    content_key,
    item_name,
    load_features,
    load_vector,
    open_item,
)
from openbind.errors import InputError

RANDOM = np.random.default_rng(0)


def pack(path: Path, name: str, data: bytes) -> Member:
    """A tar of one member, and where that is by its header."""
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return Member(path, name, offset=512, size=len(data))


def test_open(tmp_path: Path) -> None:
    """A file is its path, a member its bytes, a text itself."""
    data = RANDOM.bytes(1_000)
    assert open_item(tmp_path / "a.png") == str(tmp_path / "a.png")
    assert open_item(pack(tmp_path / "a.tar", "x/a.png", data)) == data
    assert open_item("a dog") == "a dog"
    with pytest.raises(TypeError):
        open_item(StoredVector(tmp_path / "a.npy"))


@dataclass(frozen=True, kw_only=True)
class Row(FilePart):
    """A row of a file."""

    row: int

    def read(self) -> int:
        return self.row


@dataclass(frozen=True, kw_only=True)
class Column(FilePart):
    """A column of a file, which has the same number."""

    row: int

    def read(self) -> int:
        return self.row


def test_keys_of_parts(tmp_path: Path) -> None:
    """Which part, of which class, of which content; the file's name doesn't count."""
    for name, content in (("a", b"same"), ("b", b"same"), ("c", b"other")):
        (tmp_path / name).write_bytes(content)
    key = content_key(Row(path=tmp_path / "a", row=1))
    assert key == content_key(Row(path=tmp_path / "b", row=1))
    others = [
        content_key(tmp_path / "a"),
        content_key(Row(path=tmp_path / "a", row=2)),
        content_key(Row(path=tmp_path / "c", row=1)),
        content_key(Column(path=tmp_path / "a", row=1)),
    ]
    assert len({key, *others}) == 5
    assert item_name(Row(path=tmp_path / "a", row=1)) == str(tmp_path / "a")


def test_keys_of_ensembles() -> None:
    """The texts, their order, and where one ends count."""
    texts = [("ab", "c"), ("a", "bc"), ("abc",), ("c", "ab")]
    assert len({content_key(Ensemble(some)) for some in texts}) == 4
    assert content_key(Ensemble(("abc",))) == content_key(Ensemble(("abc",)))


def test_a_changed_file_has_another_key(tmp_path: Path) -> None:
    """A file that is written again is hashed again."""
    (tmp_path / "a").write_bytes(b"one")
    before = content_key(tmp_path / "a")
    (tmp_path / "a").write_bytes(b"two!")
    assert content_key(tmp_path / "a") != before


def test_keys_differ() -> None:
    """Different items have different names, which hold no machine's separator."""
    items: list[Item] = [
        Path("a/b.png"),
        Member(Path("a/b.tar"), "c.png", 512, 3),
        Member(Path("a/b.tar"), "d.png", 1_536, 3),
        StoredVector(Path("a/b.npy"), 1),
        StoredVector(Path("a/b.npy"), 2),
        "a dog",
    ]
    keys = [item_name(item) for item in items]
    assert keys == ["a/b.png", "a/b.tar/c.png", "a/b.tar/d.png", "a/b.npy#1", "a/b.npy#2", "a dog"]


def test_digest_is_of_the_content(tmp_path: Path) -> None:
    """The same bytes have one digest as a file, as a member and anywhere; others another."""
    data = RANDOM.bytes(3_000_000)  # more than one block
    for name in ("a.bin", "b.bin"):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "c.bin").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    expected = hashlib.blake2b(data, digest_size=20).digest()
    assert content_key(tmp_path / "a.bin") == expected
    assert content_key(tmp_path / "b.bin") == expected
    assert content_key(pack(tmp_path / "a.tar", "a.bin", data)) == expected
    assert content_key(tmp_path / "c.bin") != expected
    assert content_key("größer") == hashlib.blake2b("größer".encode(), digest_size=20).digest()


def test_digest_of_vectors(tmp_path: Path) -> None:
    """A stored vector's digest is of its row alone."""
    rows = RANDOM.standard_normal((2, 4)).astype(np.float32)
    np.save(tmp_path / "all.npy", rows)
    np.save(tmp_path / "one.npy", rows[1])
    digests = [content_key(StoredVector(tmp_path / "all.npy", row)) for row in (0, 1)]
    assert digests[0] != digests[1]
    assert content_key(StoredVector(tmp_path / "one.npy")) == digests[1]


def test_unreadable(tmp_path: Path) -> None:
    """What is missing, a folder, or cut off is named."""
    member = pack(tmp_path / "a.tar", "a.png", RANDOM.bytes(5_000))
    (tmp_path / "a.tar").write_bytes((tmp_path / "a.tar").read_bytes()[:2_000])
    for use in (open_item, content_key):
        with pytest.raises(InputError, match=r"a\.tar/a\.png: truncated: 1,488 of 5,000 bytes"):
            use(member)
        with pytest.raises(InputError, match=r"none\.tar/x: can't be read"):
            use(Member(tmp_path / "none.tar", "x", 0, 1))
    for path in (tmp_path / "none.png", tmp_path):
        with pytest.raises(InputError) as refused:
            content_key(path)
        assert refused.value.item == str(path)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_vector(tmp_path: Path, dtype: type) -> None:
    """A row comes as float32 of unit length, from any float type, from one axis or two."""
    rows = (RANDOM.standard_normal((3, 8)) * 7).astype(dtype)
    np.save(tmp_path / "all.npy", rows)
    np.save(tmp_path / "one.npy", rows[2])
    wide = rows[2].astype(np.float64)
    expected = (wide / np.sqrt((wide**2).sum())).astype(np.float32)
    for stored in (StoredVector(tmp_path / "all.npy", 2), StoredVector(tmp_path / "one.npy")):
        found = load_vector(stored, 8)
        assert (found.dtype, found.shape) == (np.float32, (8,))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("stored", "row", "message"),
    [
        (np.ones((3, 8), np.float32), 3, "no such row; there are 3"),
        (np.ones(8, np.float32), 1, "no such row; there are 1"),
        (np.ones((3, 7), np.float32), 0, "vector of 8 numbers, as the space has, found 7"),
        (np.ones((3, 8), np.int64), 0, r"expected floats .*found int64 \(3, 8\)"),
        (np.ones((3, 8, 1), np.float32), 0, r"found float32 \(3, 8, 1\)"),
        (np.array([{}]), 0, "not a .npy file of numbers"),
        (np.zeros((3, 8), np.float32), 1, "all its numbers are 0"),
        (np.full((3, 8), np.nan, np.float32), 1, "NaN or infinite"),
        (np.full((3, 8), np.inf, np.float16), 1, "NaN or infinite"),
    ],
)
def test_bad_vectors(tmp_path: Path, stored: np.ndarray, row: int, message: str) -> None:
    """What isn't a direction of the space is refused, with what was found."""
    np.save(tmp_path / "bad.npy", stored, allow_pickle=True)
    with pytest.raises(InputError, match=message):
        load_vector(StoredVector(tmp_path / "bad.npy", row), 8)


def test_bad_vector_files(tmp_path: Path) -> None:
    """Missing, empty, cut, of another format, several arrays."""
    np.save(tmp_path / "cut.npy", np.ones((100, 8)))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:1_000])
    np.savez(tmp_path / "many.npz", a=np.ones(8))
    (tmp_path / "empty.npy").touch()
    (tmp_path / "text.npy").write_text("1 2 3")
    for name, message in {
        "none.npy": "no such file",
        "empty.npy": "empty",
        "cut.npy": "not a .npy",
        "text.npy": "not a .npy",
        "many.npz": "found .npz",
    }.items():
        with pytest.raises(InputError, match=message):
            load_vector(StoredVector(tmp_path / name), 8)


def test_stored_features(tmp_path: Path) -> None:
    """Features are read as they are, not normalized; they can't be opened or of another number."""
    np.save(tmp_path / "a.npy", np.array([[3, 4], [np.nan, 1]], np.float16))
    rows = [StoredFeatures(StoredVector(tmp_path / "a.npy", row)) for row in range(3)]
    assert load_features(rows[0], 2).tolist() == [3, 4]
    assert load_features(rows[0], 2).dtype == np.float32
    for row, dim in ((rows[0], 3), (rows[1], 2), (rows[2], 2)):
        with pytest.raises(InputError, match=r"a\.npy#"):
            load_features(row, dim)
    with pytest.raises(InputError, match="train a head"):
        open_item(rows[0])
    assert content_key(rows[0]) not in (content_key(rows[0].vector), content_key(rows[1]))
