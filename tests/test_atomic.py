"""A file or folder is complete or absent; no temporary ones remain."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from openbind import atomic
from openbind.atomic import atomic_folder, atomic_path, recover_folder


def test_becomes_the_target(tmp_path: Path) -> None:
    """After the block the file has its name, content and ordinary permissions."""
    target = tmp_path / "new" / "out.txt"
    with atomic_path(target) as temporary:
        assert not target.exists()
        temporary.write_text("whole")
    assert target.read_text() == "whole"
    assert os.listdir(target.parent) == ["out.txt"]
    plain = tmp_path / "plain"
    plain.touch()
    assert target.stat().st_mode == plain.stat().st_mode


def test_failure_leaves_the_old_file(tmp_path: Path) -> None:
    """If the block raises, an existing file is unchanged and the temporary one removed."""
    target = tmp_path / "out.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError, match="half"), atomic_path(target) as temporary:
        temporary.write_text("ne")
        raise RuntimeError("half")
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.txt"]


def write_folder(target: Path, text: str) -> None:
    with atomic_folder(target) as folder:
        (folder / "a.txt").write_text(text)


@pytest.mark.parametrize("exchanges", [True, False])
def test_folders_are_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool
) -> None:
    """As a whole, where names can be exchanged and where not; through a link, too."""
    if not exchanges:
        monkeypatch.setattr(atomic, "_exchange", lambda one, other: False)
    target = tmp_path / "new" / "space"
    write_folder(target, "one")
    (target / "old.txt").touch()
    (tmp_path / "link").symlink_to(target)
    for path in (target, tmp_path / "link"):
        write_folder(path, "two")
        assert os.listdir(target) == ["a.txt"]
        assert (target / "a.txt").read_text() == "two"
        assert os.listdir(target.parent) == ["space"]
    with pytest.raises(RuntimeError, match="half"), atomic_folder(target):
        raise RuntimeError("half")
    assert (target / "a.txt").read_text() == "two"
    assert os.listdir(target.parent) == ["space"]


KILLED = """
import os, pathlib, signal, sys
from openbind import atomic
kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
moment, target = sys.argv[1], pathlib.Path(sys.argv[2])
real, renames = pathlib.Path.rename, []

def rename(path, other):
    if moment == "between" and renames:
        kill()
    renames.append(path)
    return real(path, other)

pathlib.Path.rename = rename
if moment == "between":
    atomic._exchange = lambda one, other: False
if moment == "after":
    atomic._exchange = lambda one, other, real=atomic._exchange: real(one, other) and kill()
with atomic.atomic_folder(target) as folder:
    (folder / "a.txt").write_text("two")
    if moment == "before":
        kill()
"""


@pytest.mark.parametrize("moment", ["before", "between", "after"])
def test_killed_writers_leave_the_old_or_the_new(tmp_path: Path, moment: str) -> None:
    """SIGKILL before, between and after the renames; the next writer removes what is left."""
    if moment == "after" and sys.platform != "linux":
        pytest.skip("names can't be exchanged here")
    target = tmp_path / "space"
    write_folder(target, "one")
    killed = subprocess.run([sys.executable, "-c", KILLED, moment, str(target)], check=False)
    assert killed.returncode == -signal.SIGKILL
    recover_folder(target)
    assert (target / "a.txt").read_text() == ("two" if moment == "after" else "one")
    write_folder(target, "three")
    assert (target / "a.txt").read_text() == "three"
    assert os.listdir(tmp_path) == ["space"]


def test_recovering_replaces_nothing(tmp_path: Path) -> None:
    """Only a missing folder is recovered, a broken link isn't one."""
    write_folder(tmp_path / ".space.openbind-old", "old")
    (tmp_path / "space").symlink_to(tmp_path / "nowhere")
    recover_folder(tmp_path / "space")
    assert (tmp_path / "space").is_symlink()
    recover_folder(Path())
    shutil.rmtree(tmp_path / ".space.openbind-old")


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    """A second one is refused, and the first one finishes."""
    target = tmp_path / "space"
    with atomic_folder(target) as folder:
        (folder / "a.txt").write_text("first")
        with pytest.raises(BlockingIOError, match="another process"):
            write_folder(target, "second")
    assert (target / "a.txt").read_text() == "first"
