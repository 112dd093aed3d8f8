"""A scan lists the files of some modalities, and says which folders it couldn't look into."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openbind.embedding.many import Failure
from openbind.embedding.scan import scan, walk_files
from openbind.errors import InputError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b/2.jpg", "b/1.wav", "a.png", ".hidden.png", ".git/x.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_entries_in_order(tree: Path) -> None:
    """By path, each with its modality; hidden files are skipped, other kinds are counted."""
    found = scan([tree, tree / "a.png"], ["image", "audio"])
    names = [(entry.item.relative_to(tree).as_posix(), entry.modality) for entry in found.entries]
    assert names == [("a.png", "image"), ("b/1.wav", "audio"), ("b/2.jpg", "image")]
    assert (found.others, found.failures) == (1, ())


def test_wrong_paths(tree: Path) -> None:
    """What isn't there, and a file of no known kind that was named, are refused."""
    with pytest.raises(InputError) as refused:
        scan([tree / "gone"], ["image"])
    assert refused.value.item == str(tree / "gone")
    with pytest.raises(InputError, match="txt"):
        scan([tree / "notes.txt"], ["image"])


def test_an_unreadable_folder_is_reported(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is listed, and the folder is named with the reason."""
    real = os.scandir

    def flaky(path: Any = ".") -> Iterator[os.DirEntry[str]]:
        if str(path).endswith("/b"):
            raise OSError(5, "Input/output error", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", flaky)
    found = scan([tree], ["image", "audio"])
    assert [entry.item for entry in found.entries] == [tree / "a.png"]
    assert [failure.item for failure in found.failures] == [tree / "b"]
    assert "Input/output error" in found.failures[0].reason


def test_links_to_folders(tree: Path) -> None:
    """They aren't entered, or each folder once."""
    (tree / "b" / "up").symlink_to(tree, target_is_directory=True)
    failures: list[Failure] = []
    assert len(list(walk_files(tree, failures.append))) == 4
    assert len(list(walk_files(tree, failures.append, follow_links=True))) == 4
    assert not failures
