"""Rows say what a file says of itself; the same content in another place keeps all but that."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from openbind.search.index import Index
from openbind.search.metadata import read_content
from openbind.search.rows import ScannedFile, describe, is_still, relabel, rows_of
from openbind.search.scan import scan_roots


@pytest.fixture
def seen(index: Index, media: Path) -> ScannedFile:
    """A image of the year 2001 by its file's date."""
    os.utime(media / "0.webp", (1_000_000_000, 1_000_000_000))
    (found,) = (entry for entry in scan_roots(index.meta, index.folder) if entry.name == "0.webp")
    return describe(found, read_content(found.path))


def test_rows_of_a_image(seen: ScannedFile) -> None:
    """One row with size, date and a small image."""
    (row,) = rows_of(seen, 1)
    with Image.open(seen.entry.path) as image:
        assert (row.width, row.height) == image.size
    assert (row.id, row.file) == (f"{seen.entry.key}-0", seen.entry.key)
    assert (row.start_s, row.end_s, row.duration, row.year) == (None, None, None, 2001)
    assert row.size == seen.entry.path.stat().st_size
    assert row.thumbnail is not None


def test_rows_of_parts(seen: ScannedFile) -> None:
    """Each has its stretch; the first alone has the image."""
    rows = rows_of(replace(seen, spans=((0.0, 9.0), (9.0, 18.0))), 2)
    assert [(row.segment, row.segments, row.start_s) for row in rows] == [(0, 2, 0.0), (1, 2, 9.0)]
    assert [row.thumbnail is None for row in rows] == [False, True]


def test_relabeled_rows(seen: ScannedFile, media: Path) -> None:
    """Name and date are the new ones; a year that the image itself said stays."""
    (row,) = rows_of(seen, 1)
    moved = ScannedFile(
        entry=replace(seen.entry, key="k", name="deep/x.webp"),
        content=read_content(media / "1.webp"),
    )
    found = relabel(row, moved)
    assert (found.id, found.path, found.thumbnail) == ("k-0", "deep/x.webp", row.thumbnail)
    assert found.year == found.modified.year > 2020
    assert relabel(replace(row, year=1999), moved).year == 1999


def test_files_that_change(seen: ScannedFile, media: Path) -> None:
    """Other content, or none, is noticed; what wasn't hashed can't be asked."""
    assert is_still(seen)
    shutil.copy(media / "1.webp", media / "0.webp")
    assert not is_still(seen)
    (media / "0.webp").unlink()
    assert not is_still(seen)
    with pytest.raises(ValueError, match=r"0\.webp was not hashed"):
        ScannedFile(entry=seen.entry).hashed()
