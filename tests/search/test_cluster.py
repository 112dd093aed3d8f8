"""A cluster of two workers writes what one process does; a killed worker loses nothing."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import openbind
from openbind.embedding.many import Entry
from openbind.embedding.scan import scan
from openbind.errors import OpenbindError
from openbind.search import cluster as clusters
from openbind.search.cluster import embed_on_ray, share, split

pytestmark = pytest.mark.slow

pytest.importorskip("ray", reason="the extra ray isn't installed")
pq = pytest.importorskip("pyarrow.parquet")

SAME = 1e-5
"""Vectors of one file in different batches differ by float32 rounding."""


@pytest.fixture
def entries(samples: Path, starter: openbind.Space, tmp_path: Path) -> list[Entry]:
    """Forty files, and one that can't be read."""
    found = scan([samples], starter.modalities).entries
    (tmp_path / "broken.png").write_bytes(b"no image")
    return [*found[:30], *found[-10:], Entry(found[0].modality, tmp_path / "broken.png")]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight files per chunk."""
    monkeypatch.setattr(clusters, "CHUNK_FILES", 8)


def read(folder: Path) -> dict[str, np.ndarray]:
    """Return the vectors of a folder of Parquet files by path; no path occurs twice."""
    table = pq.read_table(folder)
    assert table.column_names == ["path", "modality", "vector"]
    paths = table.column("path").to_pylist()
    assert len(set(paths)) == len(paths)
    return dict(zip(paths, np.array(table.column("vector").to_pylist(), np.float32), strict=True))


def check(found: dict[str, np.ndarray], space: openbind.Space, entries: list[Entry]) -> None:
    """Check that all files have the vectors that one process computes."""
    good = [entry for entry in entries if entry.item.stem != "broken"]
    assert set(found) == {str(entry.item) for entry in good}
    for kind in {entry.modality for entry in good}:
        paths = [str(entry.item) for entry in good if entry.modality == kind]
        expected = space.encode(kind, paths)
        np.testing.assert_allclose([found[path] for path in paths], expected, atol=SAME)


def workers() -> list[int]:
    """Return the worker processes below this one."""
    parents, names = {}, {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            names[int(process.name)] = (process / "cmdline").read_bytes()
            fields = (process / "stat").read_text().rpartition(") ")[2].split()
            parents[int(process.name)] = int(fields[1])
        except (OSError, IndexError):
            continue

    def is_ours(pid: int) -> bool:
        while pid in parents and pid != os.getpid():
            pid = parents[pid]
        return pid == os.getpid()

    return [pid for pid, name in names.items() if b"ChunkWriter" in name and is_ours(pid)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Start a cluster of two machines with one CPU each."""
    from ray.cluster_utils import Cluster

    os.environ.setdefault("RAY_worker_niceness", "0")  # 15 otherwise: others' work goes first
    machines = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    machines.add_node(num_cpus=1)
    yield machines.address
    machines.shutdown()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_killed_workers_lose_nothing(
    starter: openbind.Space, entries: list[Entry], cluster: str, tmp_path: Path
) -> None:
    """Busy workers are killed (SIGKILL); every file is embedded once, with its vector."""
    target, killed, done = tmp_path / "out.parquet", [], []

    def kill() -> None:
        partial = tmp_path / ".out.parquet.partial"
        while not list(partial.glob("part-*")):
            time.sleep(0.005)
        done.extend(partial.glob("part-*"))
        for pid in workers():
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    outcome = embed_on_ray(starter, "starter", entries, target, workers=2, address=cluster)
    killer.join(10)
    assert killed
    assert len(done) < len(list(split(entries)))
    assert outcome.files == 40
    assert [Path(failure.name).name for failure in outcome.failures] == ["broken.png"]
    assert outcome.failures[0].reason
    check(read(target), starter, entries)
    assert not list(tmp_path.glob(".*"))


def test_a_failed_run_continues(
    starter: openbind.Space, entries: list[Entry], cluster: str, tmp_path: Path
) -> None:
    """A failed run continues with the missing chunks; another plan starts from scratch."""
    target = tmp_path / "out.parquet"
    with pytest.raises(OpenbindError, match=r"worker failed.*continues"):
        embed_on_ray(starter, "no such space", entries, target, workers=1, address=cluster)
    assert not target.exists()
    partial = tmp_path / ".out.parquet.partial"
    first = partial / "part-000000.parquet"
    job = clusters._Job(
        source="starter",
        dtype="float32",
        device="cpu",
        fingerprint=starter.fingerprint,
        folder=str(partial),
        threads=1,
        options={},
    )
    clusters.ChunkWriter(job)(next(split(entries)))
    before = first.stat().st_mtime_ns
    embed_on_ray(starter, "starter", entries, target, workers=1, address=cluster)
    assert (target / first.name).stat().st_mtime_ns == before
    check(read(target), starter, entries)
    with pytest.raises(openbind.InputError, match="exists already"):
        embed_on_ray(starter, "starter", entries, target)


def test_chunks_are_always_the_same(entries: list[Entry]) -> None:
    """Each has files of one modality; numbers are consecutive."""
    chunks = list(split(entries))
    assert chunks == list(split(entries))
    assert [chunk["number"] for chunk in chunks] == list(range(len(chunks)))
    assert sum(len(chunk["paths"]) for chunk in chunks) == len(entries)
    assert max(len(chunk["paths"]) for chunk in chunks) == 8


def test_another_space_is_refused(starter: openbind.Space, tmp_path: Path) -> None:
    """A machine that has another space by that name fails."""
    job = clusters._Job(
        source="starter",
        dtype="float32",
        device="cpu",
        fingerprint="f" * 32,
        folder=str(tmp_path),
        threads=1,
        options={},
    )
    with pytest.raises(OpenbindError, match="another space on this machine"):
        clusters.ChunkWriter(job)
    with pytest.raises(openbind.InputError, match="workers"):
        embed_on_ray(starter, "starter", [], tmp_path / "x", workers=0)


def test_sharing() -> None:
    """GPUs are asked for if the space is on one; threads fit the largest machine."""
    large = {"CPU": 64.0, "GPU": 8.0}
    assert share(large, 16, "cuda", None, 99) == (8, 8, {"num_cpus": 8, "num_gpus": 1})
    assert share(large, 16, "cuda", 16, 99) == (16, 4, {"num_cpus": 4, "num_gpus": 0.5})
    assert share(large, 16, "cpu", None, 99) == (32, 2, {"num_cpus": 2, "num_gpus": 0})
    assert share(large, 16, "cpu", 1, 99) == (1, 16, {"num_cpus": 16, "num_gpus": 0})
    assert share({"CPU": 2.0}, 2, "cpu", None, 1) == (1, 2, {"num_cpus": 2, "num_gpus": 0})
    with pytest.raises(openbind.InputError, match="no GPUs"):
        share({"CPU": 2.0}, 2, "cuda", None, 9)


def test_without_the_extra(
    starter: openbind.Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the extra to install."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(openbind.MissingExtraError, match=r"openbind\[ray\]"):
        embed_on_ray(starter, "starter", [], tmp_path / "x")
