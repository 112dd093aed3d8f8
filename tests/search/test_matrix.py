"""Rows in memory: equal to what the table finds, read again only where they have changed."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openbind.search import ann, matrix
from openbind.search import table as tables
from openbind.search.ann import Nearest
from openbind.search.columns import Row
from openbind.search.matrix import RowCache
from openbind.search.table import RowTable
from openbind.search.versions import MANIFESTS
from openbind.space.vectors import unit_rows

from .test_table import row

DIM = 8


def draw(count: int, seed: int) -> np.ndarray:
    """Vectors that aren't quite of unit length, as those of bfloat16."""
    rng = np.random.default_rng(seed)
    return unit_rows(rng.normal(size=(count, DIM))) * rng.uniform(0.995, 1.005, (count, 1))


def rows(names: list[str], size: int = 0) -> list[Row]:
    return [replace(row(name), size=size) for name in names]


@pytest.fixture
def table(tmp_path: Path) -> RowTable:
    """Forty rows, two of each file."""
    made = RowTable(tmp_path / "rows", DIM, create=True)
    listed = [row(str(n), part, 2) for n in range(20) for part in range(2)]
    made.add([replace(r, size=int(r.file)) for r in listed], draw(40, 0))
    return made


def by_table(table: RowTable, query_E: np.ndarray, where: str | None) -> list[tuple[str, float]]:
    """What LanceDB finds."""
    found = ann._table_rows(table, query_E, where, None, 100)
    return [(each["id"], pytest.approx(each["score"], abs=1e-5)) for each in found]


def by_matrix(table: RowTable, query_E: np.ndarray, where: str | None) -> list[tuple[str, float]]:
    search = matrix.KeptQuery(table.cache, query_E).rows(where)
    assert search is not None
    return [(each["id"], each["score"]) for each in search(100)]


@pytest.mark.parametrize("where", [None, "size < 7", "size > 99", "size = 3 or path like '1%'"])
def test_equal_to_the_table(table: RowTable, where: str | None) -> None:
    """Rows, order and cosines, with any filter; columns too."""
    for query_E in draw(3, 1) * 5:
        assert by_matrix(table, query_E, where) == by_table(table, query_E, where)
    first = Nearest(table, query_E, None).files(1, None)[0]
    (stored,), _ = table.read(f"id = '{first['id']}'")
    assert {name: first[name] for name in matrix.SHOWN} == {
        name: getattr(stored, name) for name in matrix.SHOWN
    }


def test_changes_are_seen(table: RowTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each kind of write, also of another process, and after compacting; only rows that are
    new are read.
    """
    read: list[int] = []
    take = type(table.rows).take_row_ids
    note: Any = lambda self, ids: read.append(len(ids)) or take(self, ids)  # noqa: E731
    monkeypatch.setattr(type(table.rows), "take_row_ids", note)
    other, query_E = RowTable(tmp_path / "rows", DIM), draw(1, 2)[0]
    by_matrix(table, query_E, None)
    changes = [
        lambda: other.add(rows(["new"]), query_E[None]),
        lambda: other.remove(["3", "4"]),
        lambda: other.replace(["5"], rows(["5"], 77), draw(1, 3)),
        lambda: other.compact(),
        lambda: other.remove([str(n) for n in range(20)]),
        lambda: other.remove(["new"]),
    ]
    for change in changes:
        change()
        for where in (None, "size >= 5"):
            assert by_matrix(table, query_E, where) == by_table(table, query_E, where)
    assert read == [1, 1]


def test_while_another_writes(table: RowTable, tmp_path: Path) -> None:
    """Each answer is of some state: a row is found with its own vector, or not at all."""
    other, done = RowTable(tmp_path / "rows", DIM), threading.Event()
    vectors_KE = draw(30, 4)

    def write() -> None:
        for n, vector_E in enumerate(vectors_KE):
            other.add(rows([f"w{n}"], 50), vector_E[None])
            if n % 7 == 6:
                other.compact()
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    found: list[dict[str, Any]] = []
    while not done.is_set():
        found = Nearest(table, vectors_KE[0], None).files(50, "size = 50")
        unit_KE = unit_rows(vectors_KE)
        for each in found:
            assert each["score"] == pytest.approx(unit_KE[int(each["file"][1:])] @ unit_KE[0])
    writer.join()
    assert len(Nearest(table, vectors_KE[0], None).files(50, "size = 50")) == 30


def test_settled_table(table: RowTable, tmp_path: Path) -> None:
    """Rows of another process are seen although nothing asked the table for its version before."""
    manifests, query_E = tmp_path / "rows" / "rows.lance" / MANIFESTS, draw(1, 6)[0]
    os.utime(manifests, (0, 0))
    assert table.versions.newest() == table.rows.version
    assert table.versions._known == (0, table.rows.version)
    by_matrix(table, query_E, None)
    RowTable(tmp_path / "rows", DIM).add(rows(["new"]), query_E[None])
    assert by_matrix(table, query_E, None)[0][0] == rows(["new"])[0].id


def test_large_tables_are_not_kept(table: RowTable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those, only what a narrow filter leaves is read, and kept until the table changes."""
    monkeypatch.setattr(matrix, "MOST_ROWS", 10)
    monkeypatch.setattr(ann, "NARROW_ROWS", 10)
    query_E = draw(1, 5)[0]
    assert RowCache(table.rows, table.versions).matrix() is None
    for _ in range(2):
        found = Nearest(table, query_E, None).files(9, "size < 3")
        assert {each["file"] for each in found} == {"0", "1", "2"}
    assert len(table.cache._narrow) == 1
    table.remove(["1"])
    assert {r["file"] for r in Nearest(table, query_E, None).files(9, "size < 3")} == {"0", "2"}
    assert len(Nearest(table, query_E, None).files(99, None)) == 19


def test_versions_are_bounded(table: RowTable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of fifty updates few versions and fragments are left once no reader can hold them."""
    monkeypatch.setattr(tables, "KEPT_VERSIONS", timedelta(milliseconds=1))
    for number in range(50):
        table.add(rows([f"u{number}"]), draw(1, number))
        table.compact()
    assert len(table.rows.list_versions()) <= 2
    assert table.rows.stats()["fragment_stats"]["num_fragments"] <= 2
    assert len(Nearest(table, draw(1, 0)[0], None).files(99, None)) == 70
