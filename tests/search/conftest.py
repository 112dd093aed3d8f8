"""Fixtures of the index's tests: a few media files, an index over them, a log of decoding."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import openbind
from openbind.search.index import Index, default_folder
from openbind.search.update import update
from openbind.space.decoding import Decoder


@pytest.fixture
def media(samples: Path, tmp_path: Path) -> Path:
    """Four images, two sounds and a broken image, in two levels, all an hour old."""
    folder = tmp_path / "media"
    (folder / "deep").mkdir(parents=True)
    for number, image in enumerate(sorted((samples / "images").iterdir())[:4]):
        shutil.copy(image, folder / f"{number}{image.suffix}")
    for number, sound in enumerate(sorted((samples / "sounds").iterdir())[:2]):
        shutil.copy(sound, folder / "deep" / f"{number}{sound.suffix}")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    return folder


@pytest.fixture
def index(starter: openbind.Space, media: Path) -> Index:
    """An index over the media, up to date."""
    made = Index.create(default_folder([media]), starter, [media])
    update(made, starter)
    return made


@pytest.fixture
def encoded(starter: openbind.Space, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """All items that are decoded from now on."""
    items: list[object] = []
    samples = Decoder.samples

    def note(decoder: Decoder, modality: str, item: object, *views: object) -> object:
        items.append(item)
        return samples(decoder, modality, item, *views)  # type: ignore[arg-type]

    monkeypatch.setattr(Decoder, "samples", note)
    return items


def rows_by_path(index: Index) -> dict[str, np.ndarray]:
    """Return the vectors of all files, by path and segment."""
    rows, vectors_KE = index.table.read("true")
    return {f"{r.path}#{r.segment}": v for r, v in zip(rows, vectors_KE, strict=True)}


def touch(path: Path, seconds: float = 5.0) -> None:
    """Change a file's modification time."""
    status = path.stat()
    os.utime(path, (status.st_atime, status.st_mtime + seconds))
