"""What a pair of millions of rows costs before the first step: time, and memory of each process.

Method: a manifest of synthetic rows (an image, a sound, one of 500 labels; empty files, which paths
lead to by links of folders) is listed once, then by a second run that maps what the first wrote,
each a process of its own. Times are CPU seconds, of one process. Memory is what a process has for
itself (RssAnon), beyond PyTorch and the mapped files. A forked worker then reads rows at random:
what it adds is what reference counts copy. The last column is the same, counted for 10 million
rows.

    python benchmarks/training_rows.py [--rows 2000000]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from tables import print_heads, print_row

from openbind.data.index import RowView
from openbind.data.listing import read_rows
from openbind.data.sampler import PairSize, Sampler
from openbind.data.sources.manifest import Manifest
from openbind.data.splits import hold_out
from openbind.data.table import PairTable, tabulate
from openbind.training.anchors import AnchorPlan, describe_anchors
from openbind.training.blocks import split_blocks
from openbind.training.contrast import Corpus

COUNTED = 10_000_000
LABELS = 500
BATCH = 2_048
LINKED = 1_000
READ = 20_000


def write_manifest(folder: Path, rows: int) -> None:
    """Write the manifest, and a folder of files that all paths lead to by links."""
    for kind, extension in (("images", "jpg"), ("audio", "wav")):
        files = folder / f"{kind}.files"
        files.mkdir()
        for number in range(LINKED):
            (files / f"{number:03d}.{extension}").touch()
        (folder / kind).mkdir()
        for number in range(-(-rows // LINKED)):
            (folder / kind / f"train-{number:06d}").symlink_to(files)
    with (folder / "pairs.csv").open("w") as file:
        file.write("image,audio,label\n")
        for row in range(rows):
            name = f"train-{row // LINKED:06d}/{row % LINKED:03d}"
            file.write(f"images/{name}.jpg,audio/{name}.wav,class {row % LABELS}\n")


def own_mebibytes() -> float:
    """Return the memory that this process shares with no file."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024


def start(folder: Path) -> dict[str, float]:
    """Do what a run does with rows before its first step."""
    before, started = own_mebibytes(), time.process_time()
    index = read_rows(Manifest(manifest="pairs.csv"), ("image", "audio"), folder)
    listed = time.process_time()
    train, _ = hold_out(index.rows, 0.001)
    table = tabulate(train, "image")
    Corpus(table, torch.empty(0, 1, 1), "label")
    size = PairSize("image-audio", table.choices, 1, 1)
    sampler = Sampler([size], batch_size=min(BATCH, len(train)), steps=100, seed=0)
    sampler.batches(0)
    tabulated = time.process_time()
    numbers = {
        "list": listed - started,
        "tabulate, group, first batch": tabulated - listed,
        "look at the frozen files": _describe(table),
        "own memory, MiB": own_mebibytes() - before,
    }
    steps = [sampler.batches(step) for step in range(20)]
    numbers["ms a step, drawing"] = (time.process_time() - tabulated) / len(steps) * 1e3
    numbers["a forked worker's own, MiB"] = _fork(train)
    return numbers


def _describe(table: PairTable) -> float:
    """Return the seconds of `describe_anchors` for all frozen items, from some blocks."""
    space: Any = SimpleNamespace(identity=lambda modality: modality)
    blocks = split_blocks(len(table.anchors))[:40]
    started = time.process_time()
    for block in blocks:
        describe_anchors(space, AnchorPlan(modality="image"), table.anchors, block)
    return (time.process_time() - started) * len(table.anchors) / sum(map(len, blocks))


def _fork(rows: RowView) -> float:
    """Return what reading rows at random adds to a worker's own memory."""
    reader, writer = os.pipe()
    if not os.fork():
        before = own_mebibytes()
        for row in np.random.default_rng(0).integers(len(rows), size=min(READ, len(rows))):
            rows.items(int(row), "audio")
        os.write(writer, json.dumps(own_mebibytes() - before).encode())
        os._exit(0)
    os.wait()
    return float(json.loads(os.read(reader, 100)))


def in_process(folder: Path) -> dict[str, float]:
    """Run `start` in a process of its own."""
    command = [sys.executable, __file__, "--start", str(folder)]
    environment = {**os.environ, "OPENBIND_CACHE": str(folder / "cache")}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    numbers: dict[str, float] = json.loads(done.stdout)
    return numbers


def main() -> None:
    """Measure both runs and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--start", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.start is not None:
        print(json.dumps(start(options.start)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_manifest(folder, options.rows)
        first, later = in_process(folder), in_process(folder)
        mapped = sum(path.stat().st_size for path in (folder / "cache").rglob("*"))
    factor = COUNTED / options.rows
    print_heads(f"{options.rows:,} rows", "first run", "later runs", f"counted for {COUNTED:,}")
    for key, value in later.items():
        unit = "" if "MiB" in key or "ms" in key else " s"
        scale = 1 if key.startswith(("ms", "a forked")) else factor
        cells = (first[key], value, value * scale)
        print_row(key, *(f"{cell:,.1f}{unit}" for cell in cells))
    print_row("mapped files, GB", "", f"{mapped / 1e9:.2f}", f"{mapped * factor / 1e9:.2f}")


if __name__ == "__main__":
    main()
