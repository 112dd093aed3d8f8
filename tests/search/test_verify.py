"""`verify` finds every kind of error that is made on purpose, and `repair` fixes it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import openbind
from openbind.embedding.scan import FAILED
from openbind.search.columns import vectors_of
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


def flip_bit(index: Index) -> None:
    """Change a vector by so little that it stays a unit vector."""
    table = index.table.rows.search().where("path = '0.webp'").to_arrow()
    vectors_KE = vectors_of(table.column("vector"), index.table.dim).copy()
    vectors_KE.view(np.uint32)[0, 0] ^= 1 << 3
    store_as_is(index, table, {"vector": pa.FixedSizeListArray.from_arrays(vectors_KE[0], 512)})


def change_date(index: Index) -> None:
    """Change a column of a row alone."""
    table = index.table.rows.search().where("path = '0.webp'").to_arrow()
    store_as_is(index, table, {"year": pa.array([1999], pa.int16())})


def store_as_is(index: Index, table: pa.Table, changed: dict[str, pa.Array]) -> None:
    """Replace a row and leave its checksum."""
    columns = {name: changed.get(name, table.column(name)) for name in table.column_names}
    index.table.rows.delete("path = '0.webp'")
    index.table.rows.add(pa.table(columns, schema=table.schema))


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
        (flip_bit, "damaged"),
        (change_date, "damaged"),
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


def test_clean_beside_what_cannot_be_read(
    starter: openbind.Space, index: Index, media: Path
) -> None:
    """Broken links and pipes are known failures; a file that was indexed is unreadable."""
    (media / "link.jpg").symlink_to("nowhere.jpg")
    os.mkfifo(media / "pipe.jpg")
    report = verify(index)
    assert report.clean
    assert report.summary.skipped == {"broken link": 1, "not a regular file": 1, FAILED: 1}
    changes = update(index, starter)
    assert {Path(failure.name).name for failure in changes.failures} == {
        "broken.jpg",
        "link.jpg",
        "pipe.jpg",
    }
    assert index.meta.summary == changes.summary == index.info().summary == report.summary
    (media / "0.webp").unlink()
    (media / "0.webp").symlink_to("nowhere.webp")
    assert verify(index).unreadable == (str(media / "0.webp"),)
    assert update(index, starter).removed == 0
