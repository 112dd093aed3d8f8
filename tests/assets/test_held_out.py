"""The held-out sets that ship are complete, unchanged, free to redistribute, and small."""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path

import pytest
import soundfile
import torch

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
    """Of the samples none are here that its training had: drawings, and ESC-10's sounds."""
    trained = ("ESC-50", "@lobehub/fluent-emoji", "openclipart", "composed")
    assert not [row.path for row in rows if row.source.startswith(trained)]


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
                features_BD = tower.features(inputs.flatten(0, inputs.ndim - 4)).numpy()
            found = prints.find_trained(
                tests / "golden" / "trained.safetensors", modality, features_BD
            )
            assert found.max() < prints.SAME[modality], row.path


@pytest.mark.slow
def test_content_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A sample that was trained on is found, encoded and cut otherwise."""
    tests = Path(__file__).parents[1]
    monkeypatch.syspath_prepend(str(tests.parent / "recipes" / "starter"))
    prints = importlib.import_module("prints")
    space = openbind.load("starter", modalities=["audio"])
    samples, rate_hz = soundfile.read(samples_folder() / "sounds" / "159-rooster.ogg")
    soundfile.write(tmp_path / "cut.mp3", samples[rate_hz // 4 :], rate_hz)
    inputs = space.preprocess("audio", [tmp_path / "cut.mp3"])
    with torch.no_grad():
        features_BD = space.towers["audio"].features(inputs.flatten(0, 1)).numpy()
    found = prints.find_trained(tests / "golden" / "trained.safetensors", "audio", features_BD)
    assert found.max() > prints.SAME["audio"]


def test_stays_small() -> None:
    """All files together take less than 3 MB."""
    assert sum(p.stat().st_size for p in held_out_folder().rglob("*") if p.is_file()) < 3e6
