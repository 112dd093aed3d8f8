"""Files below the roots are found, with names that can be stored; a missing root is an error."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import openbind
from openbind.search.index import Index
from openbind.search.scan import scan_roots


def test_files_of_all_roots(index: Index, media: Path, tmp_path: Path) -> None:
    """Each once, by root and name, without other types, hidden files and the index itself."""
    extra = tmp_path / "extra"
    extra.mkdir()
    (extra / "0.webp").write_bytes(b"another")
    (extra / "notes.xyz").write_bytes(b"")
    (media / ".hidden.png").write_bytes(b"")
    index.add([extra])
    found = {
        (entry.root, entry.name): entry for entry in scan_roots(index.meta, index.folder).files
    }
    assert len({entry.key for entry in found.values()}) == len(found) == 8
    assert found[1, "0.webp"].path == extra / "0.webp"
    assert found[0, "deep/0.ogg"].modality == "audio"


def test_the_index_itself(starter: openbind.Space, media: Path) -> None:
    """An index inside its root is excluded, even if an override matches its files."""
    made = Index.create(media / "index", starter, [media], type_overrides={"*": "image"})
    made.update(starter)
    names = {entry.name for entry in scan_roots(made.meta, made.folder).files}
    assert len(names) == 7
    assert not any(name.startswith("index") for name in names)


def test_names_that_are_not_utf8(index: Index, media: Path) -> None:
    """A name that isn't UTF-8 can be stored, and its file opened."""
    path = os.fsencode(media) + b"/caf\xe9.png"
    Path(os.fsdecode(path)).write_bytes(b"x")
    (entry,) = (
        entry for entry in scan_roots(index.meta, index.folder).files if "caf" in entry.name
    )
    assert entry.name == "caf\\udce9.png"
    assert entry.path.read_bytes() == b"x"


def test_missing_root(index: Index, media: Path) -> None:
    """Its files are not taken for deleted."""
    meta = index.meta
    media.rename(media.with_name("away"))
    with pytest.raises(openbind.InputError, match="mount it"):
        scan_roots(meta, index.folder)


def test_folders_that_cannot_be_read(
    index: Index, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are reported, and hide only the files below them."""
    (media / "deeper").mkdir()
    scandir = os.scandir

    def flaky(path: str) -> object:
        if Path(path).name == "deep":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", flaky)
    found = scan_roots(index.meta, index.folder)
    assert len(found.files) == 5
    assert [failure.name for failure in found.failures] == [str(media / "deep")]
    assert found.hides(0, "deep/0.ogg")
    assert not found.hides(0, "deeper/0.ogg")
    assert not found.hides(1, "deep/0.ogg")
