"""The index over folders: files per second, and latency of exact queries.

Method: synthetic images and sounds, all different, are indexed by an update of a new index and, for
comparison, embedded by `space.encode` alone; then updated again without changes. For queries,
vectors of 1,024 dimensions are drawn around centers, as embeddings cluster; queries are other draws
around the same centers. numpy, faiss and `Index.search`, without and with a filter that all rows
pass, answer each in turn, in one process, after a few that are not counted, and have to find the
same. Ratios are of p50 and of p99 to numpy's. `search_scale.py` measures larger indexes.

    python benchmarks/index.py [--files 200] [--vectors 100000] [--queries 100]
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
from tables import print_heads, print_row

import openbind
from openbind.embedding.scan import scan
from openbind.search.columns import Row
from openbind.search.index import Index
from openbind.search.meta import Meta, Root
from openbind.search.place import LocalPlace
from openbind.search.table import RowTable
from openbind.search.update import update
from openbind.search.versions import SETTLED_NS
from openbind.space.vectors import unit_rows

DIM, TOP, CENTERS, COMMIT, WARM, TURN = 1024, 10, 2000, 5000, 5, 15
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
    print_heads(f"{count} files", "files/s", "to `space.encode`", "cores busy")
    print_row("`space.encode` alone", f"{count / alone:.1f}", 1, "")
    print_row("`index create`", f"{count / took:.1f}", f"{alone / took:.2f}", f"{busy / took:.2f}")
    print_row("`index update`, nothing changed", f"{count / again:,.0f}", "", "")


def draw_vectors(count: int, seed: int, centers_CE: np.ndarray) -> np.ndarray:
    """Draw unit vectors around centers of unit length."""
    rng = np.random.default_rng(seed)
    rows = []
    for start in range(0, count, COMMIT):
        chosen = centers_CE[rng.integers(len(centers_CE), size=min(COMMIT, count - start))]
        noise = rng.normal(size=chosen.shape) * (NOISE / np.sqrt(DIM))
        rows.append(unit_rows(chosen + noise))
    return np.concatenate(rows)


def fill_table(folder: Path, vectors_KE: np.ndarray, sizes_K: np.ndarray | None = None) -> RowTable:
    """Write vectors as an update does, with sizes that filters can compare."""
    table = RowTable(folder, DIM, create=True)
    sizes_K = np.arange(len(vectors_KE)) if sizes_K is None else sizes_K
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
                size=int(sizes_K[start + n]),
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


def make_index(folder: Path, vectors_KE: np.ndarray) -> Index:
    """Return an index of no space over vectors, which have changed a while ago."""
    known = Meta(
        space="",
        fingerprint="",
        dtype="float32",
        dim=DIM,
        identities={"image": ""},
        roots=(Root(number=0, path=folder),),
        roots_made=1,
    )
    index = Index(LocalPlace(folder), fill_table(folder / "rows", vectors_KE))
    index.write_meta(known)
    time.sleep(SETTLED_NS / 1e9)
    return index


def measure_exact(vectors_KE: np.ndarray, queries_QE: np.ndarray) -> None:
    """Print the row of exact search; the methods take turns, some queries each.

    Of every method the rows are then as warm: taking turns query by query, those of whoever was
    asked twice would be in the processor's cache, and the others' not.
    """
    flat = faiss.IndexFlatIP(DIM)
    flat.add(vectors_KE)
    with tempfile.TemporaryDirectory() as folder:
        index = make_index(Path(folder), vectors_KE)

        def with_numpy(query_E: np.ndarray) -> list[int]:
            scores_K = vectors_KE @ query_E
            rows = np.argpartition(-scores_K, TOP)[:TOP]
            return [int(row) for row in rows[np.argsort(-scores_K[rows])]]

        def with_faiss(query_E: np.ndarray) -> list[int]:
            return [int(row) for row in flat.search(query_E[None], TOP)[1][0]]

        def with_index(query_E: np.ndarray, where: str | None = None) -> list[int]:
            return [hit.size for hit in index.search(query_E, TOP, where=where)]

        methods: dict[str, Callable[[np.ndarray], list[int]]] = {
            "numpy": with_numpy,
            "faiss flat": with_faiss,
            "the index": with_index,
            "the index, filter": lambda query_E: with_index(query_E, f"size < {len(vectors_KE)}"),
        }
        times: dict[str, list[float]] = {name: [] for name in methods}
        expected = [with_numpy(query_E) for query_E in queries_QE]
        for first in range(0, len(queries_QE), TURN):
            for name, ask in methods.items():
                for number in range(first, min(first + TURN, len(queries_QE))):
                    started = time.perf_counter()
                    found = ask(queries_QE[number])
                    times[name].append(1000 * (time.perf_counter() - started))
                    if found != expected[number]:
                        raise RuntimeError(f"{name} finds {found} instead of {expected[number]}")
    spans = [np.percentile(taken[WARM:], (50, 99)) for taken in times.values()]
    base = spans[0]
    ratios = (f"{p50 / base[0]:.2f}, {p99 / base[1]:.2f}" for p50, p99 in spans[1:])
    print_row(f"{len(vectors_KE):,}", f"{base[0]:.2f}, {base[1]:.2f} ms", *ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=100)
    arguments = parser.parse_args()
    if arguments.files:
        measure_update(arguments.files)
    if arguments.vectors:
        centers_CE = unit_rows(np.random.default_rng(0).normal(size=(CENTERS, DIM)))
        vectors_KE = draw_vectors(arguments.vectors, 1, centers_CE)
        queries_QE = draw_vectors(arguments.queries + WARM, 2, centers_CE)
        heads = ("numpy: p50, p99", "faiss, flat", "the index", "with a filter")
        print_heads("rows × 1,024", *heads)
        for share in (100, 20, 5, 2, 1):
            measure_exact(vectors_KE[: arguments.vectors // share], queries_QE)


if __name__ == "__main__":
    main()
