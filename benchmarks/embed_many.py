"""Files per second of `embed_many`, beside its two halves and beside an older tree.

Method: JPEGs of 1024 × 768 and FLACs of five seconds, made by code, all different, are embedded
from files by `embed_many` without a cache; by `space.encode` alone from decoded arrays; decoded and
preprocessed alone; and, with --before, by `embed_files` of an older tree (a worktree of a commit
with `openbind.search.library`) in a process of its own. All four run in turn in each round, with
the same number of threads; the best round counts.

    python benchmarks/embed_many.py [--files 200] [--workers 2] [--rounds 3] [--before TREE]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch
from PIL import Image
from tables import print_heads, print_row

import openbind
from openbind.embedding.many import Entry, embed_many
from openbind.embedding.scan import scan
from openbind.space.decoding import map_ahead

RATE_HZ = 44_100
WARM_UP = 16
BEFORE = """
import sys, time
import openbind
from openbind.search.library import embed_files, scan
space = openbind.load("starter", device="cpu")
entries = scan([sys.argv[1]], [sys.argv[2]]).entries
embed_files(space, entries[:16], None)
start = time.perf_counter()
embed_files(space, entries, None)
print(time.perf_counter() - start)
"""


def write_media(folder: Path, count: int) -> None:
    """Write images and sounds, `count` of each."""
    rng = np.random.default_rng(0)
    for number in range(count):
        small = Image.fromarray(rng.integers(256, size=(48, 64, 3), dtype=np.uint8))
        image = small.resize((1024, 768), Image.Resampling.BICUBIC)
        image.save(folder / f"{number:04}.jpg", quality=90)
        sound = rng.normal(0, 0.1, 5 * RATE_HZ)
        soundfile.write(folder / f"{number:04}.flac", sound, RATE_HZ)


def read_array(path: Path) -> object:
    """Return what a file decodes to, as `space.encode` takes it."""
    if path.suffix == ".jpg":
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return samples.T, rate_hz


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def run_before(tree: Path, folder: Path, modality: str) -> float:
    """Return the seconds that the older tree takes."""
    done = subprocess.run(
        [sys.executable, "-c", BEFORE, str(folder), modality],
        env={**os.environ, "PYTHONPATH": str(tree / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def measure(
    space: openbind.Space, entries: list[Entry], ways: argparse.Namespace, folder: Path
) -> dict[str, float]:
    """Return the best files per second of each way for one modality."""
    modality = entries[0].modality
    paths = [Path(str(entry.item)) for entry in entries]
    arrays = [read_array(path) for path in paths]
    workers = ways.workers

    def decode(path: Path) -> object:
        return list(space.decoder.samples(modality, str(path)))

    runs: dict[str, Callable[[], object]] = {
        "embed_many": lambda: list(embed_many(space, entries, workers=workers)),
        "encode": lambda: space.encode(modality, arrays, workers=workers),
        "decoding": lambda: [result() for result in map_ahead(decode, paths, workers)],
    }
    list(embed_many(space, entries[:WARM_UP], workers=workers))
    best = dict.fromkeys(["before", *runs] if ways.before else runs, float("inf"))
    for _ in range(ways.rounds):
        if ways.before:
            best["before"] = min(best["before"], run_before(ways.before, folder, modality))
        for name, function in runs.items():
            best[name] = min(best[name], seconds(function))
    return {name: len(entries) / took for name, took in best.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=200, help="of each modality")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--before", type=Path, metavar="TREE", help="worktree of an older commit")
    arguments = parser.parse_args()
    space = openbind.load("starter", device="cpu", modalities=["image", "audio"])
    others = ["encode, of arrays", "decoding alone", *(["before"] if arguments.before else [])]
    print(f"{torch.get_num_threads()} threads, {arguments.workers} workers:")
    print_heads("files", "embed_many, files/s", *(f"to {name}" for name in others))
    with tempfile.TemporaryDirectory() as folder:
        write_media(Path(folder), arguments.files)
        for modality in ("image", "audio"):
            entries = list(scan([folder], [modality]).entries)
            rates = measure(space, entries, arguments, Path(folder))
            keys = ["encode", "decoding", *(["before"] if arguments.before else [])]
            ratios = (f"{rates['embed_many'] / rates[key]:.2f}" for key in keys)
            print_row(modality, f"{rates['embed_many']:.1f}", *ratios)


if __name__ == "__main__":
    main()
