"""Every change of a table is seen, and the table is asked only after changes."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from openbind.search.versions import MANIFESTS, SETTLED_NS, Versions


class Table:
    """A table that counts questions."""

    def __init__(self) -> None:
        self.asked, self.number = 0, 1

    @property
    def version(self) -> int:
        """The number of its version."""
        self.asked += 1
        return self.number


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a table that last changed a while ago."""
    (tmp_path / MANIFESTS).mkdir()
    _change(tmp_path, -3600)
    return tmp_path


def _change(folder: Path, seconds: float) -> None:
    """Change a table's folder at a time from now."""
    changed = time.time_ns() + int(1e9 * seconds)
    os.utime(folder / MANIFESTS, ns=(changed, changed))


def test_asked_once(folder: Path) -> None:
    """An unchanged table isn't asked again; a changed one is."""
    table = Table()
    versions = Versions(table, folder)
    assert [versions.newest() for _ in range(3)] == [1] * 3
    assert table.asked == 1
    table.number = 2
    _change(folder, -1800)
    assert [versions.newest() for _ in range(3)] == [2] * 3
    assert table.asked == 2


def test_recent_changes(folder: Path) -> None:
    """A table that has just changed may change again within the same tick of a clock."""
    table = Table()
    versions = Versions(table, folder)
    _change(folder, -0.5 * SETTLED_NS / 1e9)
    for number in (1, 2, 3):
        table.number = number
        assert versions.newest() == number


def test_elsewhere(folder: Path) -> None:
    """Without a folder, as in an object store or after its deletion, each question is asked."""
    table = Table()
    versions = Versions(table, folder)
    versions.newest()
    shutil.rmtree(folder / MANIFESTS)
    table.number = 2
    assert versions.newest() == 2
    assert Versions(table, "s3://bucket/rows").newest() == 2
