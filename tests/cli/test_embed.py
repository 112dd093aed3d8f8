"""`openbind embed`: one unit vector per file, written atomically."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("extension", ["npz", "parquet"])
def test_embed_writes_vectors(run: Run, media: Path, tmp_path: Path, extension: str) -> None:
    """One unit vector per file."""
    target = tmp_path / f"out.{extension}"
    code, out, _ = run("embed", media, "-o", target)
    assert (code, out) == (0, "")
    if extension == "npz":
        vectors = np.load(target)["vector"]
    else:
        pq = pytest.importorskip("pyarrow.parquet")
        vectors = np.stack(pq.read_table(target).column("vector").to_pylist())
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), np.ones(6), atol=1e-5)


def test_options_of_ray(run: Run, media: Path, tmp_path: Path) -> None:
    """Options of the other engine are refused."""
    target = tmp_path / "x.npz"
    assert "writes Parquet" in run("embed", media, "-o", target, "--engine", "ray")[2]
    err = run("embed", media, "-o", target, "--ray-address", "auto")[2]
    assert "only with --engine ray" in err


def test_embed_refuses_other_extensions(run: Run, media: Path, tmp_path: Path) -> None:
    """Other extensions are refused before anything is embedded."""
    code, _, err = run("embed", media, "-o", tmp_path / "out.csv")
    assert code == 1
    assert ".parquet, .npz" in err
