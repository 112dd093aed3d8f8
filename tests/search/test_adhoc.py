"""Folders become vectors: every readable file, in order, once; the others with a reason."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import openbind
from openbind.embedding.cache import VectorCache
from openbind.search.adhoc import embed_files, scan


@pytest.fixture
def folder(samples: Path, tmp_path: Path) -> Path:
    """Two images, a sound, a broken image, a note, and a hidden file."""
    place = tmp_path / "media"
    (place / "deep").mkdir(parents=True)
    images = sorted((samples / "images").iterdir())[:2]
    shutil.copy(images[0], place / f"one{images[0].suffix}")
    shutil.copy(images[1], place / "deep" / f"two{images[1].suffix.upper()}")
    shutil.copy(sorted((samples / "sounds").iterdir())[0], place / "deep" / "three.ogg")
    (place / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    (place / "note.docx").write_text("x")
    (place / ".hidden.png").write_text("x")
    return place


def test_scan_finds_by_extension(folder: Path) -> None:
    """All levels, extensions in any case, hidden files passed over, other kinds counted."""
    listing = scan([folder], ["image", "audio"])
    assert [entry.path.stem for entry in listing.entries] == ["broken", "one", "three", "two"]
    assert [entry.modality for entry in listing.entries] == ["image", "image", "audio", "image"]
    assert listing.others == 1
    assert len(scan([folder, folder / "deep"], ["audio"]).entries) == 1


def test_scan_refuses_what_is_not_there(folder: Path) -> None:
    """A missing place, and a named file of no known kind."""
    with pytest.raises(openbind.InputError, match="no such file or folder"):
        scan([folder / "nowhere"], ["image"])
    with pytest.raises(openbind.InputError, match=r"'\.docx' belongs to none of image"):
        scan([folder / "note.docx"], ["image"])


def test_embed_skips_what_is_broken(starter: openbind.Space, folder: Path) -> None:
    """Rows belong to entries; a broken file is listed with its reason."""
    entries = scan([folder], starter.modalities).entries
    library = embed_files(starter, entries, None)
    assert [entry.path.stem for entry in library.entries] == ["one", "three", "two"]
    assert [failure.path.name for failure in library.failures] == ["broken.jpg"]
    assert library.failures[0].reason
    for entry, vector in zip(library.entries, library.vectors_KE, strict=True):
        expected = starter.encode(entry.modality, [entry.path])[0]
        np.testing.assert_allclose(vector, expected, atol=2e-5)


def test_cache_spares_the_model(starter: openbind.Space, folder: Path, tmp_path: Path) -> None:
    """A second run reads vectors from the cache: the model isn't run, renamed files included."""
    entries = scan([folder], ["image", "audio"]).entries
    with VectorCache(tmp_path / "v.sqlite") as cache:
        first = embed_files(starter, entries, cache)
        (folder / "deep" / "three.ogg").rename(folder / "renamed.ogg")
        again = [e for e in scan([folder], ["image", "audio"]).entries if e.path.stem != "broken"]
        # A space without towers can't embed: whatever it gives comes from the cache.
        empty = openbind.Space(starter.config, {})
        empty.__dict__["_identities"] = {m: starter.identity(m) for m in ("image", "audio")}
        second = embed_files(empty, again, cache)
    assert {v.tobytes() for v in first.vectors_KE} == {v.tobytes() for v in second.vectors_KE}
