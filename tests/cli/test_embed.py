"""`openbind embed`: a unit row for each file, written whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("ending", ["npz", "parquet"])
def test_embed_writes_vectors(run: Run, media: Path, tmp_path: Path, ending: str) -> None:
    """One unit row a file."""
    target = tmp_path / f"out.{ending}"
    code, out, _ = run("embed", media, "-o", target)
    assert (code, out) == (0, "")
    if ending == "npz":
        vectors = np.load(target)["vector"]
    else:
        pq = pytest.importorskip("pyarrow.parquet")
        vectors = np.stack(pq.read_table(target).column("vector").to_pylist())
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), np.ones(6), atol=1e-5)


def test_embed_refuses_other_endings(run: Run, media: Path, tmp_path: Path) -> None:
    """Before anything is embedded."""
    code, _, err = run("embed", media, "-o", tmp_path / "out.csv")
    assert code == 1
    assert ".parquet, .npz" in err
