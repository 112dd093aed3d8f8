"""The index over folders: files per second, and latency of queries over 100,000 vectors.

Method: synthetic images and sounds, all different, are indexed by an update of a new index and, for
comparison, embedded by `space.encode` alone; then updated again without changes. For queries,
vectors of 1,024 dimensions are drawn around centers, as embeddings cluster; queries are other draws
around the same centers. The exact ten nearest of each query are computed by numpy in float64. Each
method runs one query at a time, in one process, after a few that are not counted.

    python benchmarks/index.py [--files 400] [--vectors 100000] [--queries 300]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import faiss
import numpy as np
import soundfile
from PIL import Image

import openbind
from openbind.embedding.scan import scan
from openbind.search.ann import build_ann, search_rows
from openbind.search.columns import Row
from openbind.search.index import Index
from openbind.search.table import RowTable
from openbind.search.update import update
from openbind.space.vectors import unit_rows

DIM, TOP, CENTERS, COMMIT = 1024, 10, 2000, 5000
NOISE = 1.0
"""Norm of the noise relative to the center's: vectors of one center have cosines near 0.5."""


def write_media(folder: Path, count: int) -> None:
    """Write JPEGs of 1024 × 768 and sounds of five seconds, half of each."""
    rng = np.random.default_rng(0)
    for number in range(count // 2):
        small = Image.fromarray(rng.integers(256, size=(48, 64, 3), dtype=np.uint8))
        image = small.resize((1024, 768), Image.Resampling.BICUBIC)
        image.save(folder / f"{number}.jpg", quality=90)
        soundfile.write(folder / f"{number}.flac", rng.normal(0, 0.1, 220_500), 44_100)


def measure_update(count: int) -> None:
    """Print files per second."""
    space = openbind.load("starter", device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        write_media(Path(folder), count)
        entries = scan([folder], space.modalities).entries
        by_modality: dict[str, list[Path]] = {entry.modality: [] for entry in entries}
        for entry in entries:
            by_modality[entry.modality].append(Path(str(entry.item)))
        for modality, paths in by_modality.items():
            space.encode(modality, paths[:8])
        started = time.perf_counter()
        for modality, paths in by_modality.items():
            space.encode(modality, paths)
        alone = time.perf_counter() - started
        index = Index.create(Path(folder) / ".openbind", space, [folder])
        busy, started = time.process_time(), time.perf_counter()
        update(index, space)
        took, busy = time.perf_counter() - started, time.process_time() - busy
        started = time.perf_counter()
        update(index, space)
        again = time.perf_counter() - started
    print(f"encode alone        {count / alone:8.1f} files/s")
    print(f"index create        {count / took:8.1f} files/s, {busy / took:.2f} cores busy")
    print(f"update, no change   {count / again:8.1f} files/s")


def draw_vectors(count: int, seed: int, centers_CE: np.ndarray) -> np.ndarray:
    """Draw unit vectors around centers of unit length."""
    rng = np.random.default_rng(seed)
    rows = []
    for start in range(0, count, COMMIT):
        chosen = centers_CE[rng.integers(len(centers_CE), size=min(COMMIT, count - start))]
        noise = rng.normal(size=chosen.shape) * (NOISE / np.sqrt(DIM))
        rows.append(unit_rows(chosen + noise))
    return np.concatenate(rows)


def fill_table(folder: Path, vectors_KE: np.ndarray) -> RowTable:
    """Write vectors as an update does."""
    table = RowTable(folder, DIM, create=True)
    for start in range(0, len(vectors_KE), COMMIT):
        chunk_KE = vectors_KE[start : start + COMMIT]
        rows = [
            Row(
                id=f"{start + n}-0",
                file=str(start + n),
                root=0,
                path=f"folder/{start + n}.jpg",
                modality="image",
                segment=0,
                segments=1,
                start_s=None,
                end_s=None,
                hash=str(start + n),
                stat_key="",
                settings="",
                size=start + n,
                modified=datetime(2020, 1, 1, tzinfo=timezone.utc),
                taken=datetime(2020, 1, 1, tzinfo=timezone.utc),
                year=2020,
                camera=None,
                width=None,
                height=None,
                duration=None,
                thumbnail=None,
            )
            for n in range(len(chunk_KE))
        ]
        table.add(rows, chunk_KE)
    table.compact()
    return table


def report(
    name: str, ask: Callable[[np.ndarray], list[int]], queries_QE: np.ndarray, exact: np.ndarray
) -> None:
    """Time queries one by one and print p50, p99 and recall@10."""
    for query_E in queries_QE[:10]:
        ask(query_E)
    times, recalls = [], []
    for query_E, expected in zip(queries_QE, exact, strict=True):
        started = time.perf_counter()
        found = ask(query_E)
        times.append(1000 * (time.perf_counter() - started))
        recalls.append(len(set(found) & set(expected.tolist())) / TOP)
    p50, p99 = np.percentile(times, (50, 99))
    recall = np.mean(recalls)
    print(f"{name:28} p50 {p50:7.2f} ms  p99 {p99:7.2f} ms  recall@10 {recall:.4f}", flush=True)


def measure_exact(vectors_KE: np.ndarray, queries_QE: np.ndarray) -> None:
    """Print the latency of exact search in a smaller table."""
    expected = np.argsort(-(queries_QE @ vectors_KE.T), axis=1)[:, :TOP]
    with tempfile.TemporaryDirectory() as folder:
        table = fill_table(Path(folder), vectors_KE)

        def ask(query_E: np.ndarray) -> list[int]:
            return [int(r["file"]) for r in search_rows(table, query_E, TOP, None, None)]

        report(f"index, exact, {len(vectors_KE):,} rows", ask, queries_QE, expected)


def measure_queries(count: int, queries: int) -> None:
    """Print the latency of a query by each method."""
    centers_CE = unit_rows(np.random.default_rng(0).normal(size=(CENTERS, DIM)))
    vectors_KE = draw_vectors(count, 1, centers_CE)
    queries_QE = draw_vectors(queries, 2, centers_CE)
    wide_KE = vectors_KE.astype(np.float64)
    exact = np.stack([np.argsort(-(wide_KE @ query_E))[:TOP] for query_E in queries_QE])
    del wide_KE

    def with_numpy(query_E: np.ndarray) -> list[int]:
        scores_K = vectors_KE @ query_E
        return [int(row) for row in np.argpartition(-scores_K, TOP)[:TOP]]

    report("numpy, exact", with_numpy, queries_QE, exact)
    flat = faiss.IndexFlatIP(DIM)
    flat.add(vectors_KE)

    def with_faiss(query_E: np.ndarray) -> list[int]:
        return [int(row) for row in flat.search(query_E[None], TOP)[1][0]]

    report("faiss flat", with_faiss, queries_QE, exact)
    for rows in (5_000, 20_000, 50_000):
        if rows < count:
            measure_exact(vectors_KE[:rows], queries_QE[:50])
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        table = fill_table(Path(folder), vectors_KE)
        print(f"{count:,} rows written in {time.perf_counter() - started:.0f} s")

        def with_table(query_E: np.ndarray) -> list[int]:
            return [int(r["file"]) for r in search_rows(table, query_E, TOP, None, None)]

        report("index, exact", with_table, queries_QE, exact)
        started = time.perf_counter()
        ann = build_ann(table, None)
        print(f"approximate index ({ann}) built in {time.perf_counter() - started:.0f} s")
        if ann is None:
            return

        def with_ann(query_E: np.ndarray) -> list[int]:
            return [int(r["file"]) for r in search_rows(table, query_E, TOP, None, ann)]

        report("index, approximate", with_ann, queries_QE, exact)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=400)
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=300)
    arguments = parser.parse_args()
    if arguments.files:
        measure_update(arguments.files)
    if arguments.vectors:
        measure_queries(arguments.vectors, arguments.queries)


if __name__ == "__main__":
    main()
