"""Folders are walked in sorted order; levels are split and class."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from openbind.data.sources.trees import locate, walk_files
from openbind.errors import InputError


def plant(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def walk(folder: Path) -> list[tuple[str, str | None, str | None]]:
    """Each file's path below the folder, its split and its label."""
    found = []
    for place, name in walk_files(folder, lambda name: not name.endswith(".md")):
        relative = f"{place.relative}/{name}" if place.relative else name
        assert Path(place.path, name) == folder / relative
        found.append((relative, place.split, place.label))
    return found


def test_names_say_split_and_class(tmp_path: Path) -> None:
    """The first level may be a split, the rest is the class; both are optional."""
    plant(tmp_path, "b.x", "a.x", "dog/1.x", "train/2.x", "valid/dog/big/3.x", "dog/train/4.x")
    assert walk(tmp_path) == [
        ("a.x", None, None),
        ("b.x", None, None),
        ("dog/1.x", None, "dog"),
        ("dog/train/4.x", None, "dog/train"),
        ("train/2.x", "train", None),
        ("valid/dog/big/3.x", "val", "dog/big"),
    ]


def test_what_is_passed_over(tmp_path: Path) -> None:
    """Hidden files and folders, and rejected names, are skipped."""
    plant(tmp_path, "a.x", ".a.x", ".git/b.x", "readme.md", "dog/.DS_Store")
    assert [name for name, _, _ in walk(tmp_path)] == ["a.x"]


def test_links(tmp_path: Path) -> None:
    """Linked folders are followed; a link to a parent doesn't loop."""
    plant(tmp_path, "stock/1.x", "data/cat/2.x")
    os.symlink(tmp_path / "stock", tmp_path / "data" / "dog")
    os.symlink(tmp_path / "data", tmp_path / "data" / "cat" / "up")
    assert [name for name, _, _ in walk(tmp_path / "data")] == ["cat/2.x", "dog/1.x"]


def test_no_folder(tmp_path: Path) -> None:
    """A missing folder and a file are refused."""
    plant(tmp_path, "a.x")
    for name, found in (("none", "nothing"), ("a.x", "a file")):
        with pytest.raises(InputError, match=f"expected a folder, found {found}"):
            walk(tmp_path / name)


@pytest.mark.skipif(os.getuid() == 0, reason="root may read every folder")
def test_closed_folder(tmp_path: Path) -> None:
    """An unreadable folder is an error, not empty."""
    plant(tmp_path, "dog/1.x")
    (tmp_path / "dog").chmod(0)
    with pytest.raises(InputError, match="can't be read"):
        walk(tmp_path)


def test_locate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths start from the data folder; absolute ones are unchanged."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert locate(tmp_path, "a/b") == tmp_path / "a" / "b"
    assert locate(tmp_path, "/a/b") == Path("/a/b")
    assert locate(tmp_path, "~/b") == tmp_path / "home" / "b"
