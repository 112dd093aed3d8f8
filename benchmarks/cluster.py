"""Two workers of Ray with one thread each, beside one process with two threads.

Method: the same images, all different, are embedded by the starter. The rate of the workers is that
of files in the chunks that end after each worker has written one, by the times at which they are
written: starting a cluster and loading the space takes the same time for a million files. The
process embeds some files before it is timed. Both alternate.

    python benchmarks/cluster.py [--files 240] [--rounds 2]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image
from tables import print_heads, print_row

import openbind
from openbind.embedding.many import Entry, embed_many
from openbind.search import cluster

WORKERS = 2


def write_images(folder: Path, count: int) -> list[Entry]:
    """Write JPEGs of 640 × 480."""
    rng = np.random.default_rng(0)
    entries = []
    for number in range(count):
        small = Image.fromarray(rng.integers(256, size=(24, 32, 3), dtype=np.uint8))
        path = folder / f"{number}.jpg"
        small.resize((640, 480), Image.Resampling.BICUBIC).save(path)
        entries.append(Entry("image", path))
    return entries


def threads_rate(space: openbind.Space, entries: list[Entry]) -> float:
    """Return files per second of one process."""
    torch.set_num_threads(WORKERS)
    list(embed_many(space, entries[:16], workers=WORKERS))
    started = time.perf_counter()
    list(embed_many(space, entries, workers=WORKERS))
    return len(entries) / (time.perf_counter() - started)


def workers_rate(space: openbind.Space, entries: list[Entry], target: Path) -> float:
    """Return files per second of two workers, once both work."""
    cluster.embed_on_ray(space, "starter", entries, target, workers=WORKERS)
    parts = sorted(target.glob("part-*"), key=lambda path: path.stat().st_mtime_ns)
    start = parts[WORKERS - 1].stat().st_mtime_ns
    files = sum(pq.read_metadata(path).num_rows for path in parts[WORKERS:])
    return 1e9 * float(files) / (parts[-1].stat().st_mtime_ns - start)


def main() -> None:
    """Measure both in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=240)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    os.environ.setdefault("RAY_worker_niceness", "0")  # as this process
    cluster.CHUNK_FILES = max(8, given.files // 24)
    space = openbind.load("starter", device="cpu")
    ratios = []
    print_heads("round", "two threads, files/s", "two workers, files/s", "ratio")
    with tempfile.TemporaryDirectory() as name:
        entries = write_images(Path(name), given.files)
        for number in range(given.rounds):
            alone = threads_rate(space, entries)
            both = workers_rate(space, entries, Path(name) / f"{number}.parquet")
            ratios.append(both / alone)
            print_row(number + 1, f"{alone:.1f}", f"{both:.1f}", f"{both / alone:.2f} ×")
    print_row("median", "", "", f"{statistics.median(ratios):.2f} ×")


if __name__ == "__main__":
    main()
