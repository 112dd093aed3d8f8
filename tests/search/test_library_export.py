"""Written vectors are read back equal by the libraries that people use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from openbind.search.adhoc import Entry, Library
from openbind.search.library_export import WRITERS

LIBRARY = Library(
    [Entry(Path("a.jpg"), "image"), Entry(Path("ü b.ogg"), "audio")],
    np.eye(2, 5, dtype=np.float32),
)


def test_npz(tmp_path: Path) -> None:
    """Paths, modalities and vectors, without pickles."""
    WRITERS[".npz"](LIBRARY, tmp_path / "v.npz")
    with np.load(tmp_path / "v.npz", allow_pickle=False) as found:
        assert found["path"].tolist() == ["a.jpg", "ü b.ogg"]
        assert found["modality"].tolist() == ["image", "audio"]
        np.testing.assert_array_equal(found["vector"], LIBRARY.vectors_KE)


def test_parquet(tmp_path: Path) -> None:
    """The same as columns."""
    WRITERS[".parquet"](LIBRARY, tmp_path / "v.parquet")
    table = pq.read_table(tmp_path / "v.parquet")
    assert table.column("path").to_pylist() == ["a.jpg", "ü b.ogg"]
    np.testing.assert_array_equal(np.stack(table.column("vector").to_pylist()), LIBRARY.vectors_KE)


@pytest.mark.parametrize("extension", sorted(WRITERS))
def test_nothing_half_written(tmp_path: Path, extension: str) -> None:
    """When writing fails, no file is left, and an older one stays."""
    target = tmp_path / f"v{extension}"
    target.write_text("old")
    broken = Library([Entry(Path("a"), "image")], np.zeros((2, 0), np.float32))
    broken.entries = [object()]  # type: ignore[list-item]
    with pytest.raises(AttributeError):
        WRITERS[extension](broken, target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
