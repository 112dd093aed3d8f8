"""The field of the config that is set decides which source is read."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from PIL import Image

from openbind.data.pairs import DataConfig
from openbind.data.sources import read_rows
from openbind.errors import ConfigError, UnknownNameError

PAIR = ("image", "text")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One image with its words, as manifest, folders and shard."""
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
    ("config", "key"),
    [
        (DataConfig(manifest="m.csv"), "2"),
        (DataConfig(folders={"image": "image", "text": "text"}), "1.txt"),
        (DataConfig(shards="a.tar"), "a.tar/1"),
    ],
)
def test_each_source(root: Path, config: DataConfig, key: str) -> None:
    """All give the same pair."""
    (row,) = read_rows(config, PAIR, root).rows
    assert (row.key, row.items["text"]) == (key, ("a dog",))
    assert list(row.items) == ["image", "text"]


def test_videos(root: Path) -> None:
    """A folder of videos is looked through."""
    with pytest.raises(ConfigError, match="of 0 videos"):
        read_rows(DataConfig(videos="videos"), PAIR, root)


@pytest.mark.parametrize(
    ("config", "pair"),
    [
        (DataConfig(manifest="m.csv"), ("image", "texts")),
        (DataConfig(manifest="m.csv", columns={"texts": "text"}), PAIR),
        (DataConfig(folders={"image": "image", "texts": "text"}), PAIR),
    ],
)
def test_unknown_modalities(root: Path, config: DataConfig, pair: tuple[str, str]) -> None:
    """A name that isn't a modality's is refused with the nearest."""
    with pytest.raises(UnknownNameError, match="did you mean 'text'"):
        read_rows(config, pair, root)
