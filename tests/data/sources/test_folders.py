"""Files are paired by name or class within their split; unpaired files are reported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from openbind.data.pairs import Rows
from openbind.data.sources.folders import Folders
from openbind.embedding.items import open_item
from openbind.errors import ConfigError, InputError
from openbind.media.audio import read_audio
from openbind.media.image import read_image


def draw(path: Path, width: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, 8)).save(path)


def hum(path: Path, samples: int = 800) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(samples), 8_000)


def read(root: Path, pair: tuple[str, str] = ("image", "audio"), by: str = "stem") -> Rows:
    folders = {name: name for name in pair}
    found = Folders(folders=folders, by=by).read(pair, root)  # type: ignore[arg-type]
    return Rows(list(found.rows), tuple(found.excluded))


def names(rows: Rows, root: Path, modality: str) -> list[list[str]]:
    """The files of each row, relative to the modality's folder."""
    return [
        [item.relative_to(root / modality).as_posix() for item in row.items[modality]]  # type: ignore[union-attr]
        for row in rows.rows
    ]


def test_by_stem(tmp_path: Path) -> None:
    """Paths that differ only in the extension are pairs; other names, classes, splits aren't."""
    for name in ("train/dog/1.jpg", "train/dog/2.png", "val/dog/1.jpg", "train/cat/3.jpg"):
        draw(tmp_path / "image" / name, width=9)
    for name in ("train/dog/1.wav", "train/dog/2.flac", "valid/dog/1.wav", "train/dog/3.wav"):
        hum(tmp_path / "audio" / name, samples=900)
    rows = read(tmp_path)
    assert names(rows, tmp_path, "image") == [
        ["train/dog/1.jpg"],
        ["train/dog/2.png"],
        ["val/dog/1.jpg"],
    ]
    assert names(rows, tmp_path, "audio") == [
        ["train/dog/1.wav"],
        ["train/dog/2.flac"],
        ["valid/dog/1.wav"],
    ]
    assert [(row.key, row.split, row.label) for row in rows.rows] == [
        ("train/dog/1.wav", "train", "dog"),
        ("train/dog/2.flac", "train", "dog"),
        ("valid/dog/1.wav", "val", "dog"),
    ]
    assert rows.excluded == (
        f"1 files of {tmp_path / 'image'} have no partner, e.g. train/cat/3.jpg",
        f"1 files of {tmp_path / 'audio'} have no partner, e.g. train/dog/3.wav",
    )
    assert read_image(open_item(rows.rows[0].items["image"][0])).width == 9
    assert read_audio(open_item(rows.rows[1].items["audio"][0])).samples_CT.shape == (1, 900)


def test_several_of_one_stem(tmp_path: Path) -> None:
    """Files of one modality that differ only in the extension are items of one row."""
    for name in ("a.b.jpg", "a.b.png"):
        draw(tmp_path / "image" / name)
    hum(tmp_path / "audio" / "a.b.wav")
    rows = read(tmp_path)
    assert names(rows, tmp_path, "image") == [["a.b.jpg", "a.b.png"]]
    assert (rows.rows[0].split, rows.rows[0].label) == (None, None)


def test_by_class(tmp_path: Path) -> None:
    """Each sound has all images of its class and split; without its class it has none."""
    for name in ("train/dog/1.jpg", "train/dog/2.jpg", "val/dog/3.jpg", "train/cat/4.jpg", "5.jpg"):
        draw(tmp_path / "image" / name)
    for name in ("train/dog/x.wav", "train/dog/y.wav", "val/dog/z.wav", "val/cat/u.wav", "v.wav"):
        hum(tmp_path / "audio" / name)
    rows = read(tmp_path, by="class")
    dogs = ["train/dog/1.jpg", "train/dog/2.jpg"]
    assert names(rows, tmp_path, "image") == [dogs, dogs, ["val/dog/3.jpg"]]
    assert [row.key for row in rows.rows] == ["train/dog/x.wav", "train/dog/y.wav", "val/dog/z.wav"]
    assert [(row.split, row.label) for row in rows.rows] == [
        ("train", "dog"),
        ("train", "dog"),
        ("val", "dog"),
    ]
    assert rows.rows[0].items["image"] is rows.rows[1].items["image"]
    assert [text.split(" of ")[0] for text in rows.excluded] == ["2 files", "2 files"]


def test_by_class_without_splits_of_images(tmp_path: Path) -> None:
    """Images without splits are used in all splits of the sounds."""
    draw(tmp_path / "image" / "dog" / "1.jpg")
    for split in ("train", "test"):
        hum(tmp_path / "audio" / split / "dog" / "x.wav")
    rows = read(tmp_path, by="class")
    assert [row.split for row in rows.rows] == ["test", "train"]
    assert names(rows, tmp_path, "image") == [["dog/1.jpg"]] * 2


def test_any_file_of_a_modality_without_extensions(tmp_path: Path) -> None:
    """Depth has no extension of its own: every file that isn't hidden is accepted."""
    draw(tmp_path / "image" / "1.jpg")
    (tmp_path / "depth").mkdir()
    np.save(tmp_path / "depth" / "1.npy", np.ones((4, 4)))
    (tmp_path / "depth" / ".1.npy").touch()
    rows = read(tmp_path, ("image", "depth"))
    assert names(rows, tmp_path, "depth") == [["1.npy"]]


def test_texts_are_read(tmp_path: Path) -> None:
    """A text file's item is its text; empty files and other encodings are refused."""
    draw(tmp_path / "image" / "1.jpg")
    (tmp_path / "text").mkdir()
    path = tmp_path / "text" / "1.txt"
    path.write_text("\ufeffein Hündchen\n", "utf-8")
    assert read(tmp_path, ("image", "text")).rows[0].items["text"] == ("ein Hündchen",)
    path.write_text(" \n")
    with pytest.raises(InputError, match="empty text"):
        read(tmp_path, ("image", "text"))
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="UTF-8"):
        read(tmp_path, ("image", "text"))


def test_one_folder_for_both(tmp_path: Path) -> None:
    """Images and sounds may share a folder; two modalities of the same extensions may not."""
    draw(tmp_path / "all" / "1.png")
    hum(tmp_path / "all" / "1.wav")
    folders = {"image": "all", "audio": "all", "depth": "."}
    source = Folders(folders=folders)
    rows = source.read(("image", "audio"), tmp_path)
    assert dict(rows.rows[0].items) == {
        "image": (tmp_path / "all" / "1.png",),
        "audio": (tmp_path / "all" / "1.wav",),
    }
    with pytest.raises(ConfigError, match=r"1\.png"):
        source.read(("image", "depth"), tmp_path)


def test_nothing_pairs_up(tmp_path: Path) -> None:
    """The error has two examples of each side, and the rule."""
    for number in range(3):
        draw(tmp_path / "image" / "dog" / f"p{number}.jpg")
        hum(tmp_path / "audio" / "hund" / f"s{number}.wav")
    both = r"image has 3 files, dog/p0\.jpg, dog/p1\.jpg; .*audio has 3 files, hund/s0\.wav"
    with pytest.raises(ConfigError, match=both + ".*by: stem"):
        read(tmp_path)
    with pytest.raises(ConfigError, match=both + ".*by: class"):
        read(tmp_path, by="class")
    with pytest.raises(ConfigError, match=r"image has 3 files.*video has 0 files"):
        (tmp_path / "video").mkdir()
        read(tmp_path, ("image", "video"))


def test_missing_folders(tmp_path: Path) -> None:
    """A modality without a folder in the recipe or on disk is refused."""
    draw(tmp_path / "image" / "1.jpg")
    with pytest.raises(InputError, match="audio: expected a folder, found nothing"):
        read(tmp_path)
    with pytest.raises(ConfigError, match="no folder for audio, only for image"):
        Folders(folders={"image": "image"}).read(("image", "audio"), tmp_path)
