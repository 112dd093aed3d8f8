"""Rows are read back equal; writes are atomic."""

from __future__ import annotations

import shutil
import sys
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest

import openbind
from openbind.search.columns import FileState, Row
from openbind.search.table import RowTable, one_of


def row(file: str, segment: int = 0, segments: int = 1) -> Row:
    return Row(
        id=f"{file}-{segment}",
        file=file,
        root=0,
        path=f"{file}'s ü.jpg",
        modality="image",
        settings="",
        segment=segment,
        segments=segments,
        start_s=None,
        end_s=1.5,
        hash="h",
        stat_key="",
        size=1 << 40,
        modified=datetime(2021, 5, 6, 7, 8, 9, tzinfo=timezone.utc),
        taken=datetime(2021, 5, 6, 7, 8, 9, tzinfo=timezone.utc),
        year=2021,
        camera="Nikon D70",
        width=3,
        height=None,
        duration=None,
        thumbnail=b"\xff\x00",
    )


@pytest.fixture
def table(tmp_path: Path) -> RowTable:
    """An empty table of two dimensions."""
    return RowTable(tmp_path / "rows", 2, create=True)


def test_rows_return(table: RowTable, tmp_path: Path) -> None:
    """Every column, with null values, also after opening again."""
    vectors_KE = np.array([[0.6, 0.8], [1, 0]], np.float32)
    table.add([row("a"), row("b")], vectors_KE)
    for opened in (table, RowTable(tmp_path / "rows", 2)):
        rows, found_KE = opened.read("true")
        assert rows == [row("a"), row("b")]
        np.testing.assert_array_equal(found_KE, vectors_KE)


def test_replace_replaces_all_segments(table: RowTable) -> None:
    """Only of its file, in one version of the table."""
    table.add([row("a", segment, 3) for segment in range(3)] + [row("b")], np.eye(4, 2) + 1)
    before = table.rows.version
    table.replace(["a"], [row("a", 0, 2), row("a", 1, 2)], np.ones((2, 2)))
    assert table.rows.version == before + 1
    assert sorted(r.id for r in table.read("true")[0]) == ["a-0", "a-1", "b-0"]
    assert table.read("file = 'a'")[0][0].segments == 2


def test_files_and_failures(table: RowTable) -> None:
    """States by key; a repeated failure is stored once."""
    table.add([row("a", 0, 2), row("a", 1, 2)], np.ones((2, 2)))
    state = FileState(
        file="a", path="a's ü.jpg", root=0, modality="image", settings="", hash="h", stat_key=""
    )
    assert table.files() == {"a": state}
    table.note_failures([(state, "old")])
    table.note_failures([(state, "new")])
    assert table.failed_files() == {"a": (state, "new")}
    table.remove(["a"])
    assert table.files() == table.failed_files() == {}


def test_one_of_quotes() -> None:
    """Quotes are escaped; no values match nothing."""
    assert one_of("id", ["a'b", "c"]) == "id IN ('a''b', 'c')"
    assert one_of("id", []) == "false"


def test_missing_tables(table: RowTable, tmp_path: Path) -> None:
    """A folder whose tables were deleted is named."""
    shutil.rmtree(tmp_path / "rows")
    with pytest.raises(openbind.InputError, match="missing or damaged"):
        RowTable(tmp_path / "rows", 2)


def test_tidy_keeps_every_row(table: RowTable) -> None:
    """Merging fragments changes no row."""
    for number in range(20):
        table.add([row(str(number))], np.ones((1, 2)))
    table.compact()
    assert table.rows.count_rows() == 20
    assert table.rows.stats()["fragment_stats"]["num_fragments"] < 20


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra to install."""
    monkeypatch.setitem(sys.modules, "lancedb", None)
    with pytest.raises(openbind.MissingExtraError, match=r"openbind\[index\]"):
        RowTable(tmp_path, 4, create=True)
