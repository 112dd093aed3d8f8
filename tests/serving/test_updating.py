"""A served index follows its folders, and ends with the service."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import openbind
from openbind import Index
from openbind.serving import updating
from openbind.serving.updating import Updater


def wait(is_done: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not is_done():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("watched", [True, False])
def test_files_that_come_later(
    starter: openbind.Space,
    media: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    watched: bool,
) -> None:
    """They are found when they come, or, where nothing watches, when folders are listed again."""
    monkeypatch.setattr(updating, "QUIET_MS", 50)
    if watched:
        pytest.importorskip("watchfiles", reason="the extra serve isn't installed")
    else:
        monkeypatch.setitem(__import__("sys").modules, "watchfiles", None)
        monkeypatch.setattr(updating, "RESCAN_MS", 100)
    root = tmp_path / "root"
    root.mkdir()
    shutil.copy(media / "dog.webp", root)
    index = Index.create(root / ".openbind", starter, [root])
    updater = Updater(index, starter, {})
    assert updater.updating is not None
    updater.start()
    wait(lambda: updater.updating is None)
    assert (index.rows, updater.problem) == (1, None)
    shutil.copy(media / "rain.webp", root)
    wait(lambda: index.rows == 2)
    updater.close(30)
    assert not updater._thread.is_alive()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="names are Unicode there")
def test_names_that_are_not_unicode(
    starter: openbind.Space, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of such a name is found when it comes, and the next ones, too."""
    pytest.importorskip("watchfiles", reason="the extra serve isn't installed")
    monkeypatch.setattr(updating, "QUIET_MS", 50)
    root = tmp_path / "root"
    root.mkdir()
    index = Index.create(tmp_path / "index", starter, [root])
    updater = Updater(index, starter, {})
    updater.start()
    wait(lambda: updater.updating is None)
    for count, name in enumerate((b"dog\xff.webp", b"dog.webp", b"\xfe.webp"), 1):
        shutil.copy(media / "dog.webp", os.fsencode(root) + b"/" + name)
        wait(lambda count=count: index.rows == count)  # type: ignore[misc]
    updater.close(30)
    assert not updater._watcher.is_alive()


def test_ends_in_the_middle(starter: openbind.Space, media: Path, tmp_path: Path) -> None:
    """After the file at hand; a failure is kept as the problem."""
    root = tmp_path / "root"
    shutil.copytree(media, root, ignore=shutil.ignore_patterns(".openbind", "*.csv"))
    index = Index.create(tmp_path / "index", starter, [root])
    updater = Updater(index, starter, {})
    updater.close()
    updater.start()
    updater._thread.join(30)
    assert not updater._thread.is_alive()
    shutil.rmtree(root)
    broken = Updater(index, starter, {})
    broken.start()
    wait(lambda: broken.updating is None)
    assert broken.problem is not None
    assert "root" in broken.problem
    broken.close(30)
