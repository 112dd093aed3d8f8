"""A scan lists the files of some modalities, and says which folders it couldn't look into."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openbind.embedding.many import Failure
from openbind.embedding.overrides import parse_type
from openbind.embedding.scan import (
    BROKEN_LINK,
    FAILED,
    FOLDER_LINK,
    HIDDEN,
    NO_PERMISSION,
    NOT_REGULAR,
    Summary,
    find_obstacle,
    scan,
    walk_files,
)
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
    assert found.failures == ()
    assert found.summary == Summary(
        read={"image": {"png": 1, "jpg": 1}, "audio": {"wav": 1}},
        others={"txt": 1},
        skipped={HIDDEN: 2},
    )
    assert str(found.summary) == (
        "3 read: 1 audio (1 WAV), 2 image (1 JPG, 1 PNG); "
        "3 skipped: 1 of other types (1 TXT), 2 hidden"
    )


def test_wrong_paths(tree: Path) -> None:
    """What isn't there, and a file of no known kind that was named, are refused."""
    with pytest.raises(InputError) as refused:
        scan([tree / "gone"], ["image"])
    assert refused.value.item == str(tree / "gone")
    with pytest.raises(InputError, match="txt"):
        scan([tree / "notes.txt"], ["image"])
    among = scan([tree / "notes.txt", tree / "b"], ["image"])
    assert [failure.item for failure in among.failures] == [tree / "notes.txt"]
    assert among.summary.others["txt"] >= 1


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
    assert found.summary.folders == 1
    assert "1 folders could not be read" in str(found.summary)


def test_links_to_folders(tree: Path) -> None:
    """They aren't entered, or each folder once."""
    (tree / "b" / "up").symlink_to(tree, target_is_directory=True)
    failures: list[Failure] = []
    assert len(list(walk_files(tree, failures.append))) == 4
    assert len(list(walk_files(tree, failures.append, follow_links=True))) == 4
    assert not failures


def test_what_is_no_file(tree: Path) -> None:
    """Pipes, sockets, devices, links to them and broken links are named, and never opened."""
    os.mkfifo(tree / "pipe.jpg")
    (tree / "zero.wav").symlink_to("/dev/zero")
    (tree / "gone.png").symlink_to("nowhere")
    (tree / "loop.png").symlink_to("loop.png")
    (tree / "folder").symlink_to(tree / "b")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tree / "socket.jpg"))
        os.mkfifo(tree / "pipe.xyz")
        found = scan([tree], ["image", "audio"])
    assert len(found.entries) == 3
    assert {failure.item: failure.reason for failure in found.failures} == {
        tree / "pipe.jpg": NOT_REGULAR,
        tree / "socket.jpg": NOT_REGULAR,
        tree / "zero.wav": NOT_REGULAR,
        tree / "gone.png": BROKEN_LINK,
        tree / "loop.png": BROKEN_LINK,
    }
    assert found.summary.skipped == {HIDDEN: 2, NOT_REGULAR: 4, BROKEN_LINK: 2, FOLDER_LINK: 1}
    for name in ("pipe.jpg", "gone.png"):
        with pytest.raises(InputError) as refused:
            scan([tree / name], ["image"])
        assert refused.value.item == str(tree / name)


def test_no_permission(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be read is known before it is opened."""
    monkeypatch.setattr(os, "access", lambda path, *_, **__: not str(path).endswith("a.png"))
    assert find_obstacle(tree / "a.png") == NO_PERMISSION
    assert scan([tree], ["image"]).summary.skipped[NO_PERMISSION] == 1


def test_types_of_patterns(tree: Path) -> None:
    """A pattern says what files are and how they are read; it comes before the extension."""
    overrides = [parse_type("b/*.jpg", "depth(units=kitti)"), parse_type("*.txt", "text")]
    found = scan([tree], ["image", "text", "depth"], overrides)
    by_name = {Path(str(e.item)).name: (e.modality, e.settings) for e in found.entries}
    assert by_name == {
        "a.png": ("image", ()),
        "2.jpg": ("depth", (("units", "kitti"),)),
        "notes.txt": ("text", ()),
    }


def test_summary_of_failures() -> None:
    """A file that fails is no longer counted as read."""
    summary = Summary()
    for name in ("a.jpg", "b.jpg", "no extension", "a.much longer than any extension"):
        summary.note_read("image", Path(name))
    summary.note_failed("image", Path("a.jpg"))
    assert summary == Summary(read={"image": {"jpg": 1, "": 2}}, skipped={FAILED: 1})
    summary.note_failed("image", Path("b.jpg"))
    assert summary.plain()["read"] == {"image": {"": 2}}
