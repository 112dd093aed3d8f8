"""Small tables are searched exactly, large ones with measured recall, narrow filters exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from openbind.search import ann as searching
from openbind.search.ann import RECALL, Ann, Nearest, build_ann
from openbind.search.table import RowTable
from openbind.space.vectors import unit_rows

DIM = 16


def fill(folder: Path, count: int, segments: int = 1) -> tuple[RowTable, np.ndarray]:
    """Write a table of vectors clustered around forty centers."""
    from datetime import datetime, timezone

    from openbind.search.columns import Row

    rng = np.random.default_rng(0)
    near = rng.normal(size=(40, DIM))[rng.integers(40, size=count)]
    vectors_KE = unit_rows(near + 0.5 * rng.normal(size=(count, DIM)))
    rows = [
        Row(
            id=f"{n // segments}-{n % segments}",
            file=str(n // segments),
            root=0,
            path=f"{n // segments}.x",
            modality="image",
            settings="",
            segment=n % segments,
            segments=segments,
            start_s=None,
            end_s=None,
            hash="h",
            stat_key="",
            size=n,
            modified=datetime(2020, 1, 1, tzinfo=timezone.utc),
            taken=datetime(2020, 1, 1, tzinfo=timezone.utc),
            year=2020,
            camera=None,
            width=None,
            height=None,
            duration=None,
            thumbnail=None,
        )
        for n in range(count)
    ]
    table = RowTable(folder, DIM, create=True)
    table.add(rows, vectors_KE)
    return table, vectors_KE


def exact_ids(vectors_KE: np.ndarray, query_E: np.ndarray, count: int) -> list[str]:
    return [f"{row}-0" for row in np.argsort(-(vectors_KE @ query_E), kind="stable")[:count]]


def test_small_tables_have_none(tmp_path: Path) -> None:
    """Every row is compared."""
    table, vectors_KE = fill(tmp_path, 300)
    assert build_ann(table, None) is None
    found = Nearest(table, vectors_KE[7], None).files(10, None)
    assert [row["id"] for row in found] == exact_ids(vectors_KE, vectors_KE[7], 10)
    np.testing.assert_allclose(found[0]["score"], 1.0, atol=1e-6)


@pytest.mark.slow
def test_recall_of_large_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At least 0.95 of numpy's ten nearest, for queries other than those of the calibration."""
    monkeypatch.setattr(searching, "EXACT_ROWS", 2000)
    table, vectors_KE = fill(tmp_path, 6000)
    made = build_ann(table, None)
    assert made is not None
    assert made.recall >= RECALL
    assert made.kind == "IVF_SQ"  # a bit of each of sixteen dimensions says too little
    rng = np.random.default_rng(5)
    recalls = []
    for row in rng.integers(6000, size=100):
        query_E = unit_rows(vectors_KE[row] + 0.2 * rng.normal(size=DIM)).astype(np.float32)
        found = {row["id"] for row in Nearest(table, query_E, made).files(10, None)}
        recalls.append(len(found & set(exact_ids(vectors_KE, query_E, 10))) / 10)
    assert np.mean(recalls) >= 0.95
    assert build_ann(table, made) is made


def test_narrow_filters_are_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows in partitions that are not searched are found."""
    monkeypatch.setattr(searching, "EXACT_ROWS", 2000)
    table, vectors_KE = fill(tmp_path, 6000)
    poor = Ann(kind="IVF_SQ", rows=6000, probes=1, recall=0.1)
    build_ann(table, None)
    found = Nearest(table, vectors_KE[0], poor).files(50, "size < 100")
    assert [r["id"] for r in found] == exact_ids(vectors_KE[:100], vectors_KE[0], 50)


def test_new_rows_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows added after the index was trained, before and after compacting."""
    monkeypatch.setattr(searching, "EXACT_ROWS", 2000)
    table, _ = fill(tmp_path, 3000)
    made = build_ann(table, None)
    rows, _ = table.read("id = '0-0'")
    lonely_E = np.eye(DIM, dtype=np.float32)[0]
    from dataclasses import replace

    table.add([replace(rows[0], id="new-0", file="new")], lonely_E[None])
    assert Nearest(table, lonely_E, made).files(1, None)[0]["id"] == "new-0"
    table.compact()
    assert Nearest(table, lonely_E, made).files(1, None)[0]["id"] == "new-0"


def test_a_file_is_found_once(tmp_path: Path) -> None:
    """By its best segment; the number of files is as requested."""
    table, vectors_KE = fill(tmp_path, 900, segments=30)
    found = Nearest(table, vectors_KE[0], None).files(12, None)
    files = [row["file"] for row in found]
    assert len(set(files)) == 12
    best = (vectors_KE @ vectors_KE[0]).reshape(30, 30).max(axis=1)
    assert files == [str(row) for row in np.argsort(-best, kind="stable")[:12]]
