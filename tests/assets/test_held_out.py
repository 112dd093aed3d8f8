"""The held-out sets that ship are complete, unchanged, free to redistribute, and small."""

from __future__ import annotations

import hashlib
import importlib
import re
from pathlib import Path

import pytest
import soundfile
import torch
from PIL import Image

import openbind
from openbind.evaluation.held_out import TABLE, HeldOutRow, held_out_folder, read_rows
from openbind.evaluation.samples import samples_folder
from openbind.modalities import MODALITIES, TEXT

LICENSES = {
    "MIT",
    "Public domain",
    "CC0-1.0",
    "CC-BY-1.0",
    "CC-BY-2.0",
    "CC-BY-3.0",
    "CC-BY-3.0-US",
    "CC-BY-4.0",
    "CC-BY-SA-3.0",
    "FAL-1.3",
    "OFL-1.1",
    "BSD-3-Clause",
    "Apache-2.0",
}


@pytest.fixture(scope="module")
def rows() -> list[HeldOutRow]:
    """The table."""
    return read_rows(held_out_folder())


def test_table_is_complete(rows: list[HeldOutRow]) -> None:
    """Every file has one row and every row its file, with the checksum of the table."""
    folder = held_out_folder()
    named = [row for row in rows if row.path]
    for row in named:
        assert hashlib.sha256((folder / row.path).read_bytes()).hexdigest() == row.sha256, row.path
    own = [row.path for row in named if not row.path.startswith("../samples/")]
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert sorted(own) == sorted(there - {TABLE})


def test_all_may_be_redistributed(rows: list[HeldOutRow]) -> None:
    """Each row has an author, a source, a license of the list, and a class with words for it."""
    named = {(row.set, row.label) for row in rows if row.modality == TEXT}
    for row in rows:
        assert set(row.license.split(" and ")) <= LICENSES
        assert row.author
        assert row.source
        assert row.title
        assert row.modality in MODALITIES.names()
        assert (row.set, row.label) in named


def test_starter_never_heard_the_samples_used(rows: list[HeldOutRow]) -> None:
    """Of the samples none are here that its training had: drawings, and most of ESC-10's sounds."""
    trained = ("@lobehub/fluent-emoji", "openclipart", "composed")
    assert not [row.path for row in rows if row.source.startswith(trained)]
    (esc50,) = [s for s in openbind.load("starter").card.sources if s.name.startswith("ESC-50")]
    heard = {Path(item).stem for item in esc50.items}
    clips = [row for row in rows if row.source.startswith("ESC-50")]
    assert len(clips) > 20
    for row in clips:
        found = re.search(r"\d-\d+-[A-Z]", row.source)
        assert found is not None
        assert found[0] not in heard, row.path


@pytest.mark.slow
def test_starter_never_had_the_content(
    rows: list[HeldOutRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No image and no sound is one that the starter was trained on, encoded or cut otherwise."""
    tests = Path(__file__).parents[1]
    monkeypatch.syspath_prepend(str(tests.parent / "recipes" / "starter"))
    prints = importlib.import_module("prints")
    space = openbind.load("starter", modalities=["image", "audio"])
    towers = {"image": space.towers["vision"], "audio": space.towers["audio"]}
    for modality, tower in towers.items():
        for row in rows:
            if row.modality != modality or not row.path or row.set == "furnished rooms":
                continue
            inputs = space.preprocess(modality, [held_out_folder() / row.path])
            with torch.no_grad():
                features_BD = tower.features(drop_silence(inputs)).numpy()
            found = prints.find_trained(
                tests / "golden" / "trained.safetensors", modality, features_BD
            )
            assert found.max() < prints.SAME[modality], row.path


@pytest.mark.slow
@pytest.mark.parametrize("modality", ["audio", "image"])
def test_content_is_found(modality: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A sample that was trained on is found, encoded and cut otherwise: the test above can fail."""
    tests = Path(__file__).parents[1]
    monkeypatch.syspath_prepend(str(tests.parent / "recipes" / "starter"))
    prints = importlib.import_module("prints")
    path = cut_sound(tmp_path) if modality == "audio" else cut_image(tmp_path)
    space = openbind.load("starter", modalities=[modality])
    inputs = space.preprocess(modality, [path])
    tower = space.towers[space.config.modalities[modality].tower]
    with torch.no_grad():
        features_BD = tower.features(drop_silence(inputs)).numpy()
    found = prints.find_trained(tests / "golden" / "trained.safetensors", modality, features_BD)
    assert found.max() > prints.SAME[modality]


def drop_silence(inputs: torch.Tensor) -> torch.Tensor:
    """Return the clips (B, C, H, W) of a recording but for nearly silent ones, which are alike."""
    clips_BCHW = inputs.flatten(0, inputs.ndim - 4)
    if len(clips_BCHW) == 1:
        return clips_BCHW
    level_B = clips_BCHW.flatten(1).mean(dim=1)
    return clips_BCHW[level_B > 0.1 * level_B.max()]


def cut_sound(folder: Path) -> Path:
    """Write a sample from its first quarter of a second on as MP3."""
    samples, rate_hz = soundfile.read(samples_folder() / "sounds" / "162-rooster.ogg")
    soundfile.write(folder / "cut.mp3", samples[rate_hz // 4 :], rate_hz)
    return folder / "cut.mp3"


def cut_image(folder: Path) -> Path:
    """Write a sample without its upper left edge as JPEG."""
    with Image.open(samples_folder() / "images" / "054-cat.webp") as drawing:
        image = Image.new("RGBA", drawing.size, "white")
        image.alpha_composite(drawing.convert("RGBA"))
    width, height = image.size
    cut = image.convert("RGB").crop((width // 50, height // 50, width, height))
    cut.save(folder / "cut.jpg", quality=80)
    return folder / "cut.jpg"


def test_stays_small() -> None:
    """All files together take less than 3 MB."""
    assert sum(p.stat().st_size for p in held_out_folder().rglob("*") if p.is_file()) < 3e6
