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


@pytest.mark.slow
def test_embed_on_ray(
    run: Run, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same vectors as in one process, in a folder of Parquet files."""
    monkeypatch.setenv("RAY_worker_niceness", "0")  # 15 otherwise: others' work goes first
    pytest.importorskip("ray", reason="the extra ray isn't installed")
    pq = pytest.importorskip("pyarrow.parquet")
    one, many = tmp_path / "one.parquet", tmp_path / "many.parquet"
    assert run("embed", media, "-o", one)[0] == 0
    code, _, err = run("embed", media, "-o", many, "--engine", "ray", "--workers", "2")
    assert (code, "6 vectors written" in err) == (0, True)
    tables = [pq.read_table(path).sort_by("path") for path in (one, many)]
    for name in ("path", "modality"):
        assert tables[0].column(name).to_pylist() == tables[1].column(name).to_pylist()
    vectors = [np.array(table.column("vector").to_pylist()) for table in tables]
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-5)


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
