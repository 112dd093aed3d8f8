"""Exported vectors are read back equal by the libraries that people use."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from qdrant_client import QdrantClient

import openbind
from openbind.embedding.many import Entry
from openbind.search.columns import SHOWN
from openbind.search.export import (
    Batch,
    file_batch,
    index_batches,
    write_npz,
    write_parquet,
    write_qdrant,
)
from openbind.search.index import Index
from openbind.search.update import update

FILES = file_batch(
    [Entry("image", Path("a.jpg")), Entry("audio", Path("ü \udce9.ogg"))],
    np.eye(2, 5, dtype=np.float32),
)


def test_files_as_npz(tmp_path: Path) -> None:
    """Paths, modalities and vectors, without pickles; names that aren't text are escaped."""
    assert write_npz([FILES, FILES], tmp_path / "v.npz") == 4
    with np.load(tmp_path / "v.npz", allow_pickle=False) as found:
        assert found["path"].tolist() == 2 * ["a.jpg", "ü \\udce9.ogg"]
        assert found["modality"].tolist() == 2 * ["image", "audio"]
        np.testing.assert_array_equal(found["vector"], np.tile(FILES.vectors_KE, (2, 1)))


def test_files_as_parquet(tmp_path: Path) -> None:
    """The same as columns, from several batches, with metadata; an empty batch has a schema."""
    empty = file_batch([], np.zeros((0, 5), np.float32))
    path = tmp_path / "v.parquet"
    assert write_parquet([FILES, empty, FILES], path, {b"key": "value"}) == 4
    table = pq.read_table(path)
    assert table.column_names == ["path", "modality", "vector"]
    assert table.column("path").to_pylist() == 2 * ["a.jpg", "ü \\udce9.ogg"]
    assert table.schema.metadata[b"key"] == b"value"
    vectors_KE = np.stack(table.column("vector").to_pylist())
    np.testing.assert_array_equal(vectors_KE, np.tile(FILES.vectors_KE, (2, 1)))
    assert write_parquet([empty], path) == 0
    assert pq.read_schema(path).field("vector").type.list_size == 5


@pytest.mark.parametrize(("write", "name"), [(write_parquet, "v.parquet"), (write_npz, "v.npz")])
def test_written_whole_or_not_at_all(
    write: Callable[[Iterable[Batch], Path], int], name: str, tmp_path: Path
) -> None:
    """When writing fails, no file is left, and an existing one is kept."""
    target = tmp_path / name
    target.write_text("old")

    def broken() -> Iterator[Batch]:
        yield FILES
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write(broken(), target)
    for batches, path in (([], target), ([FILES], tmp_path / "v.csv")):
        with pytest.raises(openbind.InputError):
            write(batches, path)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_index_as_parquet(index: Index, tmp_path: Path) -> None:
    """All columns but the thumbnails, absolute paths, the vectors bit for bit."""
    assert write_parquet(index_batches(index), tmp_path / "i.parquet") == 6
    table = pq.read_table(tmp_path / "i.parquet")
    rows, vectors_KE = index.table.read("true")
    root = index.meta.roots[0].path
    assert table.column_names == [*SHOWN, "vector"]
    assert table.column("path").to_pylist() == [str(root / row.path) for row in rows]
    assert table.column("root").to_pylist() == 6 * [str(root)]
    assert table.column("modified").to_pylist() == [row.modified for row in rows]
    np.testing.assert_array_equal(np.stack(table.column("vector").to_pylist()), vectors_KE)


def test_missing_servers(index: Index) -> None:
    """A server that can't be reached is named in one line."""
    for url in ("http://127.0.0.1:1", "http://bad host"):
        with pytest.raises(openbind.OpenbindError, match=url):
            write_qdrant(index_batches(index), url, "media", 512)


def test_qdrant_finds_the_same(
    starter: openbind.Space, index: Index, media: Path, tmp_path: Path
) -> None:
    """The same files in the same order; a second export deletes points of deleted files."""
    folder = str(tmp_path / "qdrant")
    assert write_qdrant(index_batches(index), folder, "media", 512) == 6
    query_E = index.sample(1, 0)[1][0]
    (media / "0.webp").unlink()
    update(index, starter)
    assert write_qdrant(index_batches(index), folder, "media", 512) == 5
    client = QdrantClient(path=folder)
    found = client.query_points("media", query=query_E.tolist(), limit=10).points
    client.close()
    expected = index.search(query_E, 10)
    assert [Path(p.payload["root"]) / p.payload["path"] for p in found if p.payload] == [
        hit.path for hit in expected
    ]
    np.testing.assert_allclose([p.score for p in found], [h.score for h in expected], atol=1e-5)


def test_qdrant_refuses_other_vectors(index: Index, tmp_path: Path) -> None:
    """A collection of other dimensions is not changed."""
    from qdrant_client import models

    client = QdrantClient(path=str(tmp_path / "q"))
    params = models.VectorParams(size=3, distance=models.Distance.COSINE)
    client.create_collection("media", vectors_config=params)
    client.close()
    with pytest.raises(openbind.InputError, match="a collection of other vectors"):
        write_qdrant(index_batches(index), str(tmp_path / "q"), "media", 512)


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra to install."""
    monkeypatch.setitem(sys.modules, "qdrant_client", None)
    with pytest.raises(openbind.MissingExtraError, match=r"openbind\[qdrant\]"):
        write_qdrant([], str(tmp_path), "media", 512)
