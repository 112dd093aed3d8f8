"""A source is listed once for each state of its data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from openbind.data import listing
from openbind.data.listing import read_rows
from openbind.data.pairs import Row, Rows
from openbind.data.sources import PairSource
from openbind.data.sources.folders import Folders
from openbind.data.sources.manifest import Manifest
from openbind.errors import ConfigError, InputError

PAIR = ("image", "text")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Listings are kept in the test's own folder."""
    monkeypatch.setenv("OPENBIND_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two images and their names."""
    data = tmp_path / "data"
    data.mkdir()
    for name in ("a", "b"):
        (data / f"{name}.png").write_bytes(b"png")
        (data / f"{name}.txt").write_text(name)
    (data / "m.csv").write_text("image,text\na.png,a\nb.png,b\n")
    return data


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the sources that were read."""
    found: list[str] = []
    for source in (Manifest, Folders):

        def read(self: Any, *args: Any, read: Any = source.read) -> Rows:
            found.append(type(self).__name__)
            rows: Rows = read(self, *args)
            return rows

        monkeypatch.setattr(source, "read", read)
    return found


@pytest.mark.parametrize(
    "source", [Manifest(manifest="m.csv"), Folders(folders={"image": ".", "text": "."})]
)
def test_listed_once(root: Path, readings: list[str], source: PairSource) -> None:
    """The same data aren't listed again, moved either; changed data and options are."""
    first = read_rows(source, PAIR, root)
    assert [row.items["text"] for row in first.rows] == [("a",), ("b",)]
    assert list(read_rows(source, PAIR, root).rows) == list(first.rows)
    assert len(readings) == 1
    root.rename(root.with_name("moved"))
    moved = read_rows(source, PAIR, root.with_name("moved"))
    assert moved.rows[0].items["image"] == (root.with_name("moved") / "a.png",)
    assert len(readings) == 1
    text = root.with_name("moved") / ("m.csv" if isinstance(source, Manifest) else "a.txt")
    text.write_text(
        text.read_text().replace("a\n", "new\n") + ("" if "," in text.read_text() else "x")
    )
    changed = read_rows(source, PAIR, root.with_name("moved"))
    assert changed.rows[0].items["text"] != ("a",)
    assert len(readings) == 2


def test_files_are_checked_each_time(root: Path) -> None:
    """A listing that is kept doesn't hide that the data folder is another one."""
    read_rows(Manifest(manifest="m.csv"), PAIR, root)
    (root / "a.png").unlink()
    with pytest.raises(InputError, match=r"a\.png: no such file"):
        read_rows(Manifest(manifest="m.csv"), PAIR, root)


def test_nothing_half_written(root: Path, tmp_path: Path) -> None:
    """A broken line leaves no listing."""
    (root / "m.csv").write_text("image,text\na.png,a\nb.png,b,c\n")
    for _ in range(2):
        with pytest.raises(InputError, match="line 3"):
            read_rows(Manifest(manifest="m.csv"), PAIR, root)
    (root / "m.csv").write_text("image,text\n")
    with pytest.raises(ConfigError, match="no line has both"):
        read_rows(Manifest(manifest="m.csv"), PAIR, root)
    assert not list((tmp_path / "cache" / "rows").glob("*/rows.json"))


def test_forgotten(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Listings that weren't used for long are deleted when another is written."""
    old = read_rows(Manifest(manifest="m.csv"), PAIR, root).folder
    assert old is not None
    os.utime(old / "rows.json", (0, 0))
    new = read_rows(Folders(folders={"image": ".", "text": "."}), PAIR, root).folder
    assert new is not None
    assert (old.exists(), new.exists()) == (False, True)


def test_full_disk(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a place to keep it the listing is in memory."""

    def fail(*_: Any) -> Iterator[Path]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(listing, "atomic_folder", fail)
    index = read_rows(Manifest(manifest="m.csv"), PAIR, root)
    assert (len(index), index.folder) == (2, None)


@dataclass(frozen=True, kw_only=True)
class Unkept(PairSource):
    """A source of another package, without a state."""

    unkept: str

    def read(self, pair: tuple[str, str], root: Path) -> Rows:
        """List one row."""
        return Rows((Row(key="a", items={"image": (b"png",), "text": ("a",)}),))


def test_sources_without_a_state(root: Path, tmp_path: Path) -> None:
    """Their rows are kept in memory only, items of any kind among them."""
    index = read_rows(Unkept(unkept="x"), PAIR, root)
    assert index.rows[0].items["image"] == (b"png",)
    assert not (tmp_path / "cache").exists()
