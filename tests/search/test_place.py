"""Where an index is: a folder, the root that holds it, or an address."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

import openbind
from openbind.search.bucket import Bucket
from openbind.search.index import Index
from openbind.search.place import find_place, place_of
from openbind.search.versions import SETTLED_NS


def test_folders(index: Index, media: Path, tmp_path: Path) -> None:
    """By itself or by its root; the size is that of its files."""
    assert find_place(media).folder == find_place(index.place.folder or "").folder == index.folder
    assert str(place_of(tmp_path / "x")) == str(tmp_path / "x")
    files = [path for path in media.joinpath(".openbind").rglob("*") if path.is_file()]
    assert index.place.size() == sum(path.stat().st_size for path in files)
    with pytest.raises(openbind.InputError, match="no index here"):
        find_place(tmp_path / "x")


def test_addresses() -> None:
    """Slashes at the end don't matter."""
    found = place_of("s3://bucket/a/b/")
    assert isinstance(found, Bucket)
    assert (str(found), found.folder) == ("s3://bucket/a/b", None)


def test_descriptions_are_read_again(index: Index) -> None:
    """An unchanged description is kept; another process's is seen, however old its file."""
    first, other = find_place(index.folder or ""), find_place(index.folder or "")
    assert first.folder is not None
    path = first.folder / "index.json"
    old = time.time_ns() - 2 * SETTLED_NS
    os.utime(path, ns=(old, old))
    known = first.read()
    assert first.read() == known
    for name in ("float16", "bfloat16"):
        other.write(replace(known, dtype=name))
        os.utime(path, ns=(old, old))
        assert first.read().dtype == name
