"""Folders are embedded through the cache: readable files in order, others with a reason."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import openbind
from openbind.search.adhoc import embed_paths, find_files


@pytest.fixture
def folder(samples: Path, tmp_path: Path) -> Path:
    """Two images, a sound, a broken image, a document, and a hidden file."""
    media = tmp_path / "media"
    (media / "deep").mkdir(parents=True)
    images = sorted((samples / "images").iterdir())[:2]
    shutil.copy(images[0], media / f"one{images[0].suffix}")
    shutil.copy(images[1], media / "deep" / f"two{images[1].suffix.upper()}")
    shutil.copy(sorted((samples / "sounds").iterdir())[0], media / "deep" / "three.ogg")
    (media / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    (media / "note.docx").write_text("x")
    (media / ".hidden.png").write_text("x")
    return media


def test_files_are_found_by_modality(folder: Path) -> None:
    """Files of other types are counted; a folder without any is an error."""
    found = find_files([folder], ["image"])
    assert [Path(str(entry.item)).stem for entry in found.entries] == ["broken", "one", "two"]
    assert found.summary.others == {"docx": 1, "ogg": 1}
    with pytest.raises(openbind.InputError, match="5 of other types"):
        find_files([folder], ["imu"])


def test_unreadable_files_are_reported(
    starter: openbind.Space, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows belong to entries; broken files and unreadable folders have reasons."""
    (folder / "secret").mkdir()
    scandir = os.scandir

    def flaky(path: str) -> object:
        if Path(path).name == "secret":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", flaky)
    library = embed_paths(starter, [folder], cached=False, batch_size=2, workers=1)
    assert [Path(str(entry.item)).stem for entry in library.entries] == ["one", "three", "two"]
    names = [Path(failure.name).name for failure in library.failures]
    assert names == ["secret", "broken.jpg"]
    assert all(failure.reason for failure in library.failures)
    for entry, vector_E in zip(library.entries, library.vectors_KE, strict=True):
        expected_E = starter.encode(entry.modality, [entry.item])[0]
        np.testing.assert_allclose(vector_E, expected_E, atol=2e-5)


def test_cached_vectors_need_no_model(
    starter: openbind.Space, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run reads the cache by content: nothing is decoded, not even renamed files."""
    monkeypatch.setenv("OPENBIND_CACHE", str(tmp_path / "cache"))
    (folder / "broken.jpg").unlink()
    first = embed_paths(starter, [folder], modalities=["image", "audio"])
    (folder / "deep" / "three.ogg").rename(folder / "renamed.ogg")

    def refuse(*given: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(type(starter.decoder), "samples", refuse)
    second = embed_paths(starter, [folder], modalities=["image", "audio"])
    assert {v.tobytes() for v in first.vectors_KE} == {v.tobytes() for v in second.vectors_KE}
