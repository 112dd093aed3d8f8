"""One writer at a time; the description is read again each time; identities are checked."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import openbind
from openbind.search.index import Index
from openbind.search.place import LOCK

HOLD = """
import sys, time
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_another_process_writes(starter: openbind.Space, index: Index, tmp_path: Path) -> None:
    """Updates and creation are refused until it ends; a killed one releases the lock."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(index.folder / LOCK)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    with pytest.raises(openbind.InputError, match="another process is updating it"):
        index.add([tmp_path])
    (index.folder / "index.json").rename(tmp_path / "kept.json")
    with pytest.raises(openbind.InputError, match="another process is updating it"):
        Index.create(index.folder, starter, [tmp_path])
    (tmp_path / "kept.json").rename(index.folder / "index.json")
    child.kill()
    child.communicate()
    with index.writing():
        pass


def test_changes_by_others_are_seen(index: Index) -> None:
    """An open index sees changes of its description."""
    other = Index.open(index.folder)
    index.write_meta(replace(index.meta, space="renamed"))
    assert other.meta.space == "renamed"


def test_identities_decide(starter: openbind.Space, index: Index) -> None:
    """Identities of modalities decide, not names; only those that are loaded are compared."""
    index.check_space(starter, complete=True)
    identities = {**index.meta.identities, "audio": "f" * 32}
    index.write_meta(replace(index.meta, identities=identities))
    with pytest.raises(openbind.InputError, match="vectors of two spaces can't be compared"):
        index.check_space(starter)
    images = openbind.load("starter", modalities=["image"], device="cpu")
    index.check_space(images)
    with pytest.raises(openbind.InputError, match="audio"):
        index.check_space(images, complete=True)
