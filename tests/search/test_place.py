"""Where an index is: a folder, the root that holds it, or an address."""

from __future__ import annotations

from pathlib import Path

import pytest

import openbind
from openbind.search.bucket import Bucket
from openbind.search.index import Index
from openbind.search.place import find_place, place_of


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
