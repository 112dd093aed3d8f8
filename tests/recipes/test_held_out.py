"""The builder of the held-out sets: what it reads, and that what ships is what it selects."""

from __future__ import annotations

import csv
import importlib.util
import struct
import sys
from pathlib import Path
from types import ModuleType

import pytest

from openbind.evaluation.held_out import held_out_folder, read_rows

FOLDER = Path(__file__).parents[2] / "recipes" / "held_out"


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import the builder by its path: other recipes have a `build` as well."""
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location("held_out_build", FOLDER / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "held_out_build", module)
    spec.loader.exec_module(module)
    return module


def test_sounds_of_a_collection(build: ModuleType) -> None:
    """A sound's name is passed over, what follows its file isn't taken."""
    sounds = [b"RIFF" + struct.pack("<I", len(body)) + body for body in (b"WAVEone", b"WAVEtwo!")]
    entries = [b"\x05name\0" + sound + b"\x04end\0" for sound in sounds]
    start = 8 * len(entries)
    table = struct.pack("<IIII", start | 1 << 31, 0, start + len(entries[0]), 0)
    collection = table + b"".join(entries)
    assert [build.read_effect(collection, number) for number in (0, 1)] == sounds
    with pytest.raises(IndexError, match="sound 2 of 2"):
        build.read_effect(collection, 2)
    with pytest.raises(ValueError, match="sound 0 is no WAV file"):
        build.read_effect(collection.replace(b"RIFF", b"OggS"), 0)


def test_rooms(build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Image and depth of a room are copied, share a scene, and name each author and license."""
    monkeypatch.setattr(build, "TARGET", tmp_path / "held_out")
    rooms = tmp_path / "rooms"
    rooms.mkdir()
    head = "image,depth,heat,video,room,models,authors,licenses"
    row = "0.jpg,0.png,1.jpg,0.mp4,kitchen,sink; hood; stool,Ann; Bob; Ann,"
    row += "CC BY 3.0; CC BY 3.0; CC0 1.0"
    (rooms / "attribution.csv").write_text(f"{head}\n{row}\n")
    for name in ("0.jpg", "0.png", "1.jpg", "0.mp4"):
        (rooms / name).write_bytes(name.encode())
    image, depth, heat, video = build.place_rooms(rooms)
    assert (heat["modality"], video["modality"]) == ("thermal", "video")
    assert (image["modality"], depth["modality"]) == ("image", "depth")
    assert image["pair"] == depth["pair"] == video["pair"] == "room 0"
    assert depth["label"] == "kitchen"
    assert depth["author"] == "openbind, of models by Ann and Bob"
    assert depth["license"] == "CC-BY-3.0 and CC0-1.0"
    assert (depth["settings"], image["settings"]) == ('{"units": "millimetres"}', "")
    assert (tmp_path / "held_out" / depth["path"]).read_bytes() == b"0.png"
    assert set(build.COLUMNS) == depth.keys()


def test_what_ships_is_what_is_selected() -> None:
    """Every row of the selection is in the table, and nothing else but recordings and rooms."""
    with (FOLDER / "selection.csv").open(newline="", encoding="utf-8") as file:
        selected = [(row["set"], row["modality"], row["label"]) for row in csv.DictReader(file)]
    rows = read_rows(held_out_folder())
    made = [row for row in rows if row.path.startswith(("basicmotions/", "rooms/"))]
    made = [row for row in made if row.modality != "image" or row.pair]
    sets = {row.set for row in rows}
    shipped = [(row.set, row.modality, row.label) for row in rows if row not in made]
    assert sorted(shipped) == sorted(key for key in selected if key[0] in sets)
    assert len([row for row in made if row.modality == "imu"]) == 40
