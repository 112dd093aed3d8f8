"""The key of `data` selects the source, and other packages can add sources."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from openbind.configs import from_dict, to_dict
from openbind.data.listing import read_rows
from openbind.data.pairs import Row, Rows
from openbind.data.sources import SOURCES, PairSource
from openbind.data.sources.manifest import Manifest
from openbind.errors import ConfigError, UnknownNameError
from openbind.training.recipe import PairPlan

PAIR = ("image", "text")


@dataclass(frozen=True, kw_only=True)
class Numbers(PairSource):
    """Images named by numbers, each with its name as text."""

    numbers: str
    extension: str = "png"

    def read(self, pair: tuple[str, str], root: Path) -> Rows:
        """List them."""
        found = sorted((root / self.numbers).glob(f"*.{self.extension}"))
        return Rows(tuple(Row(key=p.stem, items={"image": (p,), "text": (p.stem,)}) for p in found))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One image with its text, as manifest, folders and shard."""
    for name in ("image", "text", "videos"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "image" / "1.png")
    (tmp_path / "text" / "1.txt").write_text("a dog")
    (tmp_path / "m.csv").write_text("image,text\nimage/1.png,a dog\n")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(tmp_path / "image" / "1.png", "1.png")
        archive.add(tmp_path / "text" / "1.txt", "1.txt")
    return tmp_path


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"manifest": "m.csv"}, "2"),
        ({"folders": {"image": "image", "text": "text"}}, "1.txt"),
        ({"shards": "a.tar"}, "a.tar/1"),
    ],
)
def test_each_source(root: Path, values: dict[str, Any], key: str) -> None:
    """All have the same pair, and can be written and read back."""
    source = PairSource.from_plain(values, "data")
    (row,) = read_rows(source, PAIR, root).rows
    assert (row.key, row.items["text"]) == (key, ("a dog",))
    assert list(row.items) == ["image", "text"]
    assert PairSource.from_plain(to_dict(source), "data") == source


def test_videos(root: Path) -> None:
    """A folder of videos is searched."""
    with pytest.raises(ConfigError, match="of 0 videos"):
        read_rows(PairSource.from_plain({"videos": "videos"}, "data"), PAIR, root)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "data: expected one of manifest, .*found nothing"),
        ("pairs.csv", "data: expected a mapping"),
        ({"manifest": "a.csv", "videos": "b"}, "data: .*found manifest and videos"),
        ({"manifests": "a.csv"}, "did you mean 'manifest'"),
        ({"manifest": "a.csv", "column": {}}, "data.column: .*did you mean 'columns'"),
        ({"videos": "b", "columns": {"image": "x"}}, "data.columns: unknown key"),
        ({"videos": "b", "seconds": 0}, "data: seconds"),
        ({"videos": "b", "seconds": float("nan")}, "data.seconds: expected a finite"),
        ({"folders": {"image": "a"}, "by": "name"}, "data.by: expected one of"),
        ({"folders": {"image": "image", "texts": "text"}}, "did you mean 'text'"),
        ({"manifest": "m.csv", "columns": {"texts": "text"}}, "did you mean 'text'"),
    ],
)
def test_wrong_options(values: Any, message: str) -> None:
    """Exactly one source, and only its own options; the nearest name is suggested."""
    with pytest.raises(ConfigError, match=message):
        PairSource.from_plain(values, "data")


def test_unknown_modality(root: Path) -> None:
    """An unknown modality of the pair is refused with the nearest name."""
    with pytest.raises(UnknownNameError, match="did you mean 'text'"):
        read_rows(Manifest(manifest="m.csv"), ("image", "texts"), root)


def test_source_of_another_package(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source added from outside is one key of a recipe, with its own options."""
    monkeypatch.setitem(SOURCES.added, "numbers", Numbers)
    plan = from_dict(PairPlan, {"pair": ["image", "text"], "data": {"numbers": "image"}})
    assert plan.data == Numbers(numbers="image")
    (row,) = read_rows(plan.data, plan.pair, root).rows
    assert row.items["text"] == ("1",)
    assert from_dict(PairPlan, to_dict(plan)) == plan
    with pytest.raises(ConfigError, match=r"data.extensions: .*did you mean 'extension'"):
        PairSource.from_plain({"numbers": "image", "extensions": "jpg"}, "data")
