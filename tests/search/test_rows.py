"""Rows have a file's metadata; relabeled ones keep all but path and time."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest
from PIL import Image

from openbind.modalities.spec import View
from openbind.search.index import Index
from openbind.search.metadata import read_content
from openbind.search.rows import ScannedFile, describe, is_unchanged, relabel, rows_of
from openbind.search.scan import scan_roots


@pytest.fixture
def scanned(index: Index, media: Path) -> ScannedFile:
    """An image of the year 2001 by its modification time."""
    os.utime(media / "0.webp", (1_000_000_000, 1_000_000_000))
    (found,) = (
        entry for entry in scan_roots(index.meta, index.folder).files if entry.name == "0.webp"
    )
    return describe(found, read_content(found.path))


def test_rows_of_an_image(scanned: ScannedFile) -> None:
    """One row with size, date and thumbnail."""
    (row,) = rows_of(scanned, [b"jpeg"])
    with Image.open(scanned.entry.path) as image:
        assert (row.width, row.height) == image.size
    assert (row.id, row.file) == (f"{scanned.entry.key}-0", scanned.entry.key)
    assert (row.start_s, row.end_s, row.duration, row.year) == (None, None, None, 2001)
    assert row.size == scanned.entry.path.stat().st_size
    assert row.thumbnail == b"jpeg"


def test_rows_of_parts(scanned: ScannedFile) -> None:
    """Each has its span and its thumbnail."""
    parts = replace(scanned, views=(View(span=(0.0, 9.0)), View(span=(9.0, 18.0))))
    rows = rows_of(parts, [b"first", b"second"])
    assert [(row.segment, row.segments, row.start_s) for row in rows] == [(0, 2, 0.0), (1, 2, 9.0)]
    assert [row.thumbnail for row in rows] == [b"first", b"second"]


def test_relabeled_rows(scanned: ScannedFile, media: Path) -> None:
    """Path and time are replaced; a date from EXIF is kept."""
    (row,) = rows_of(scanned, [b"jpeg"])
    moved = ScannedFile(
        entry=replace(scanned.entry, key="k", name="deep/x.webp"),
        content=read_content(media / "1.webp"),
    )
    found = relabel(row, moved)
    assert (found.id, found.path, found.thumbnail) == ("k-0", "deep/x.webp", row.thumbnail)
    assert found.year == found.modified.year > 2020
    taken = datetime(1999, 5, 6, tzinfo=timezone.utc)
    assert relabel(replace(row, taken=taken), moved).year == 1999


def test_files_that_change(scanned: ScannedFile, media: Path) -> None:
    """Changed and deleted files are noticed; a file that was not hashed has no content."""
    assert is_unchanged(scanned)
    shutil.copy(media / "1.webp", media / "0.webp")
    assert not is_unchanged(scanned)
    (media / "0.webp").unlink()
    assert not is_unchanged(scanned)
    with pytest.raises(ValueError, match=r"0\.webp was not hashed"):
        ScannedFile(entry=scanned.entry).hashed()
