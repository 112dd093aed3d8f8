"""`verify` finds every kind of error that is made on purpose, and `repair` fixes it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import openbind
from openbind.search.index import Index
from openbind.search.update import update
from openbind.search.verify import repair, verify


def double(index: Index) -> None:
    rows, vectors_KE = index.table.read("path = '0.webp'")
    index.table.add(rows, vectors_KE)


def drop_part(index: Index) -> None:
    rows, vectors_KE = index.table.read("path = '0.webp'")
    index.table.replace([rows[0].file], [replace(rows[0], segments=2)], vectors_KE)


def shorten_vector(index: Index) -> None:
    rows, vectors_KE = index.table.read("path = '0.webp'")
    index.table.replace([rows[0].file], rows, vectors_KE / 2)


def lose_rows(index: Index) -> None:
    index.table.remove([row.file for row in index.table.read("path = '0.webp'")[0]])


def age_hash(index: Index) -> None:
    rows, vectors_KE = index.table.read("path = '0.webp'")
    index.table.replace([rows[0].file], [replace(rows[0], hash="00", stat_key="")], vectors_KE)


def lose_file(index: Index) -> None:
    (index.meta.roots[0].path / "0.webp").unlink()


def test_clean(index: Index) -> None:
    """A fresh index is clean, with the file that could not be embedded."""
    report = verify(index)
    assert report.clean
    assert (report.files, report.rows) == (6, 6)


@pytest.mark.parametrize(
    ("harm", "kind"),
    [
        (double, "doubled"),
        (drop_part, "damaged"),
        (shorten_vector, "damaged"),
        (lose_rows, "lost"),
        (age_hash, "stale"),
        (lose_file, "gone"),
    ],
)
def test_each_error_is_found_and_fixed(
    starter: openbind.Space, index: Index, harm: Callable[[Index], None], kind: str
) -> None:
    """Only that kind is named; `repair` and an update make it clean."""
    harm(index)
    report = verify(index)
    assert not report.clean
    kinds = ("doubled", "damaged", "lost", "stale", "gone", "unreadable")
    assert [name for name in kinds if getattr(report, name)] == [kind]
    assert report.sound == (kind not in ("doubled", "damaged"))
    assert repair(index, report) == (0 if report.sound else 1)
    update(index, starter)
    assert verify(index).clean


def test_changes_since_the_update(index: Index, media: Path) -> None:
    """New, changed and deleted files are listed by path; verifying changes nothing."""
    shutil.copy(media / "0.webp", media / "new.webp")
    shutil.copy(media / "1.webp", media / "2.webp")
    (media / "3.webp").unlink()
    for _ in range(2):
        report = verify(index)
        assert report.lost == (str(media / "new.webp"),)
        assert report.stale == (str(media / "2.webp"),)
        assert report.gone == (str(media / "3.webp"),)
        assert report.sound
