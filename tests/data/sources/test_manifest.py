"""A line with both modalities is a row; errors name the line and the column."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from PIL import Image

from openbind.data.pairs import Row, Rows
from openbind.data.sources.manifest import Manifest
from openbind.embedding.items import StoredFeatures, StoredVector, load_vector, open_item
from openbind.errors import ConfigError, InputError
from openbind.media.audio import read_audio
from openbind.media.image import read_image

Record = dict[str, Any]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data folder with four images, sounds and vectors."""
    for number in range(4):
        Image.new("RGB", (8 + number, 8), (40 * number, 0, 0)).save(tmp_path / f"{number}.png")
        soundfile.write(tmp_path / f"{number}.wav", np.zeros(800 + number), 8_000)
    np.save(tmp_path / "vectors.npy", np.eye(4, dtype=np.float32))
    return tmp_path


def write(root: Path, records: list[Record], extension: str = "csv") -> None:
    path = root / f"m.{extension}"
    if extension == "csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(records[0]))
            writer.writeheader()
            writer.writerows(records)
    elif extension == "jsonl":
        path.write_text("\n".join(map(json.dumps, records)))
    else:
        pq.write_table(pa.Table.from_pylist(records), path)


def read(root: Path, pair: tuple[str, str] = ("image", "audio"), **config: Any) -> Rows:
    found = Manifest(**{"manifest": "m.csv", **config}).read(pair, root)
    return Rows(list(found.rows), tuple(found.excluded))


def media(number: int, **more: Any) -> Record:
    return {"image": f"{number}.png", "audio": f"{number}.wav", **more}


@pytest.mark.parametrize("extension", ["csv", "jsonl", "parquet"])
def test_rows(root: Path, extension: str) -> None:
    """All formats have all columns; other columns are ignored."""
    notes = {"label": "dog", "split": "valid", "key": "k", "start": 0.5, "end": 2, "other": "x"}
    write(root, [media(1, **notes), media(2, **{**notes, "key": "l", "label": None})], extension)
    rows = read(root, manifest=f"m.{extension}")
    first = Row(
        key="k",
        items={"image": (root / "1.png",), "audio": (root / "1.wav",)},
        label="dog",
        split="val",
        span=(0.5, 2.0),
        group="1.wav",
    )
    assert rows.rows[0] == first
    assert (rows.rows[1].key, rows.rows[1].label) == ("l", None)
    assert not rows.excluded
    assert read_image(open_item(rows.rows[1].items["image"][0])).width == 10
    assert read_audio(open_item(rows.rows[1].items["audio"][0])).samples_CT.shape == (1, 802)


def test_holes(root: Path) -> None:
    """Lines without both modalities are excluded and counted; keys are line numbers."""
    write(root, [media(0), media(1, audio=""), media(2), {"image": " ", "audio": "3.wav"}])
    rows = read(root)
    assert [row.key for row in rows.rows] == ["2", "4"]
    path = root / "m.csv"
    assert rows.excluded == (f"1 lines of {path} have no audio", f"1 lines of {path} have no image")


def test_several_items(root: Path) -> None:
    """A list is several items; empty ones are dropped."""
    record = {"image": ["0.png", "1.png", None, ""], "text": ["a dog", " a hound "]}
    for extension in ("jsonl", "parquet"):
        write(root, [record], extension)
        rows = read(root, ("image", "text"), manifest=f"m.{extension}").rows
        images = (root / "0.png", root / "1.png")
        assert dict(rows[0].items) == {"image": images, "text": ("a dog", "a hound")}


def test_words_are_texts(root: Path) -> None:
    """A text that looks like a path is a text; no file is checked."""
    write(root, [{"image": "0.png", "text": "none.png"}])
    assert read(root, ("image", "text")).rows[0].items["text"] == ("none.png",)


def test_absolute_paths(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Absolute paths are unchanged, the manifest's too."""
    write(root, [media(0, image=str(root / "0.png"), audio=str(root / "0.wav"))])
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    rows = read(elsewhere, manifest=str(root / "m.csv")).rows
    assert rows[0].items["image"] == (root / "0.png",)


def test_columns_are_mapped(root: Path) -> None:
    """A modality's column may have another name."""
    write(root, [{"photo": "0.png", "wav": "0.wav", "image": "none.png"}])
    rows = read(root, columns={"image": "photo", "audio": "wav"}).rows
    assert rows[0].items["image"] == (root / "0.png",)


def test_vectors(root: Path) -> None:
    """A column of vectors replaces its modality's items."""
    cells = ["vectors.npy#2", "vectors.npy", ""]
    write(root, [{"image.vector": cell, "audio": "0.wav"} for cell in cells])
    rows = read(root).rows
    items = [row.items["image"] for row in rows]
    path = root / "vectors.npy"
    assert items == [(StoredVector(path, 2),), (StoredVector(path, 0),)]
    np.testing.assert_array_equal(load_vector(items[0][0], 4), np.eye(4)[2])
    write(root, [{"image": "0.png", "emb.vector": "vectors.npy#1", "audio": "0.wav"}])
    mapped = read(root, columns={"image": "emb.vector"}).rows
    assert mapped[0].items["image"] == (StoredVector(path, 1),)


def test_stored_features(root: Path) -> None:
    """A column of features names what a body computed, of several views for instance."""
    write(root, [media(0) | {"audio.features": ["vectors.npy#1", "vectors.npy#2"]}], "jsonl")
    found = read(root, manifest="m.jsonl").rows[0].items["audio"]
    stored = [StoredFeatures(StoredVector(root / "vectors.npy", row)) for row in (1, 2)]
    assert found == (root / "0.wav", *stored)
    write(root, [{"image": "0.png", "audio.features": "none.npy"}])
    with pytest.raises(InputError, match=r"none\.npy: no such file"):
        read(root)


def test_vectors_of_words(root: Path) -> None:
    """`text.vector` has vectors, not texts."""
    write(root, [{"text.vector": "vectors.npy#1", "image": "0.png"}])
    items = read(root, ("text", "image")).rows[0].items["text"]
    assert items == (StoredVector(root / "vectors.npy", 1),)


def test_both_columns(root: Path) -> None:
    """A modality may have items and vectors; `columns` can choose one."""
    write(root, [media(0, **{"image.vector": "vectors.npy#1"}), media(1)])
    found = [row.items["image"] for row in read(root).rows]
    vector = StoredVector(root / "vectors.npy", 1)
    assert found == [(root / "0.png", vector), (root / "1.png",)]
    chosen = read(root, columns={"image": "image"}).rows[0]
    assert chosen.items["image"] == (root / "0.png",)


def test_missing_column(root: Path) -> None:
    """The nearest name is suggested and all are listed."""
    write(root, [{"image": "0.png", "audios": "0.wav"}])
    with pytest.raises(ConfigError, match=r"no column 'audio' or .*; did you mean 'aud"):
        read(root)
    with pytest.raises(ConfigError, match=r"no column 'wav'; its columns are image, audios; .*map"):
        read(root, columns={"audio": "wav"})


def test_wrong_root(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A missing file is reported with the data folder."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write(root, [media(0)])
    with pytest.raises(InputError, match=rf"0\.png: no such file; .* start from {elsewhere}"):
        read(elsewhere, manifest=str(root / "m.csv"))
    write(root, [{"image.vector": "none.npy#3", "audio": "0.wav"}])
    with pytest.raises(InputError, match=r"none\.npy: no such file"):
        read(root)


def test_only_the_first_files_are_looked_for(root: Path) -> None:
    """Row 21 may name a missing file: checking millions would take hours."""
    write(root, [media(0) for _ in range(20)] + [media(77)])
    assert len(read(root).rows) == 21
    write(root, [media(0) for _ in range(19)] + [media(77)])
    with pytest.raises(InputError, match=r"77\.png"):
        read(root)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (media(1, start="1", end=""), "line 3: expected start and end or neither"),
        (media(1, start="3", end="2"), "line 3: expected 0 ≤ start < end, found 3 and 2"),
        (media(1, start="a", end="b"), "line 3: expected start and end in seconds"),
    ],
)
def test_bad_times(root: Path, record: Record, message: str) -> None:
    """The line is named."""
    write(root, [media(0, start="", end=""), record])
    with pytest.raises(InputError, match=message) as caught:
        read(root)
    assert "m.csv" in str(caught.value)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (media(1, image=3), "line 2: image: expected a text, or a list of texts, found 3"),
        (media(1, image={"path": "1.png"}), "line 2: image: expected a text"),
        (media(1, image=[["1.png"]]), "line 2: image: expected a text"),
        (media(1, label=["dog", "cat"]), "line 2: expected one label"),
        (
            {"image.vector": "v.npz#1", "audio": "1.wav"},
            "line 2: image.vector: expected 'file.npy'",
        ),
        (
            {"image.vector": "v.npy#x", "audio": "1.wav"},
            "line 2: image.vector: expected 'file.npy'",
        ),
    ],
)
def test_bad_cells(root: Path, record: Record, message: str) -> None:
    """The line and the column are named."""
    name = "image.vector" if "image.vector" in record else "image"
    good = {name: "0.png" if name == "image" else "vectors.npy#0", "audio": "0.wav"}
    write(root, [good, record], "jsonl")
    with pytest.raises(InputError, match=message):
        read(root, manifest="m.jsonl")


def test_weights(root: Path) -> None:
    """A row counts as much as its weight says, or 1; no weight is below 0."""
    write(root, [media(0, weight="0.5"), media(1, weight=""), media(2, weight="0")])
    assert [row.weight for row in read(root).rows] == [0.5, 1.0, 0.0]
    write(root, [media(0, weight="-1")])
    with pytest.raises(InputError, match="line 2: weight: "):
        read(root)


def test_duplicate_keys(root: Path) -> None:
    """Keys are unique, and differ from other rows' line numbers."""
    write(root, [media(0, key="a"), media(1, key="b"), media(2, key="a")])
    with pytest.raises(InputError, match="line 4: key: 'a'"):
        read(root)
    write(root, [media(0, key="3"), media(1, key="")])
    with pytest.raises(InputError, match="line 3: key: '3'"):
        read(root)


def test_no_pairs(root: Path) -> None:
    """Without a complete line, the error counts what is missing."""
    write(root, [media(0, audio=""), media(1, audio="")])
    with pytest.raises(ConfigError, match=r"no line has both image and audio; 2 lines .* no audio"):
        read(root)
    (root / "m.csv").write_text("image,audio\n")
    with pytest.raises(ConfigError, match="no lines below"):
        read(root)


def test_equal_words_are_kept_once(root: Path) -> None:
    """Equal labels and splits share one string, for memory at millions of rows."""
    cells = {"label": "do" + "g" * 9, "split": "train", "start": "0", "end": "1"}
    write(root, [media(0, **cells), media(0, **cells)])
    first, second = read(root).rows
    assert first.label is second.label
    assert first.split is second.split


@pytest.mark.parametrize("name", ["x" * 5_000, "x/" * 5_000, "a\0b"])
def test_names_that_no_file_can_have(root: Path, name: str) -> None:
    """They are files that aren't there."""
    write(root, [{"image": name, "audio": "1.wav"}], "jsonl")
    with pytest.raises(InputError, match="no such file"):
        read(root, manifest="m.jsonl")
