"""An index is read back equal from Parquet and from Qdrant, which finds the same."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from qdrant_client import QdrantClient

import openbind
from openbind.search.export import write_parquet, write_qdrant
from openbind.search.index import Index
from openbind.search.update import update


def test_parquet(index: Index, tmp_path: Path) -> None:
    """All columns but the thumbnails, whole paths, the vectors bit-exactly."""
    assert write_parquet(index, tmp_path / "i.parquet") == 6
    table = pq.read_table(tmp_path / "i.parquet")
    rows, vectors_KE = index.table.read("true")
    root = index.meta.roots[0].path
    assert table.column("path").to_pylist() == [str(root / row.path) for row in rows]
    assert table.column("hash").to_pylist() == [row.hash for row in rows]
    np.testing.assert_array_equal(np.stack(table.column("vector").to_pylist()), vectors_KE)


def test_parquet_is_whole_or_not_there(index: Index, tmp_path: Path) -> None:
    """Another extension is refused; a failure leaves an older file."""
    with pytest.raises(openbind.InputError, match=r"expected an extension of \.parquet"):
        write_parquet(index, tmp_path / "i.csv")
    (tmp_path / "i.parquet").write_text("old")
    (index.folder / "index.json").unlink()
    with pytest.raises(OSError, match=r"index\.json"):
        write_parquet(index, tmp_path / "i.parquet")
    assert (tmp_path / "i.parquet").read_text() == "old"


def test_qdrant_finds_the_same(
    starter: openbind.Space, index: Index, media: Path, tmp_path: Path
) -> None:
    """The same files in the same order; a second export brings it up to date."""
    place = str(tmp_path / "qdrant")
    assert write_qdrant(index, place, "media") == 6
    query_E = index.sample(1, 0)[1][0]
    (media / "0.webp").unlink()
    update(index, starter)
    assert write_qdrant(index, place, "media") == 5
    client = QdrantClient(path=place)
    found = client.query_points("media", query=query_E.tolist(), limit=10).points
    client.close()
    expected = index.search(query_E, 10)
    assert [Path(p.payload["root"]) / p.payload["path"] for p in found if p.payload] == [
        hit.path for hit in expected
    ]
    np.testing.assert_allclose([p.score for p in found], [h.score for h in expected], atol=1e-5)


def test_qdrant_refuses_other_vectors(index: Index, tmp_path: Path) -> None:
    """A collection of other dimensions isn't written to."""
    from qdrant_client import models

    client = QdrantClient(path=str(tmp_path / "q"))
    params = models.VectorParams(size=3, distance=models.Distance.COSINE)
    client.create_collection("media", vectors_config=params)
    client.close()
    with pytest.raises(openbind.InputError, match="a collection of other vectors"):
        write_qdrant(index, str(tmp_path / "q"), "media")


def test_without_the_extra(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install is said."""
    monkeypatch.setitem(sys.modules, "qdrant_client", None)
    with pytest.raises(openbind.MissingExtraError, match=r"openbind\[qdrant\]"):
        write_qdrant(index, str(tmp_path), "media")
