"""The starter through PyTorch, ONNX Runtime and OpenVINO: cold start, items a second, cosines.

    python benchmarks/runtimes.py [--modalities image,audio,text] [--keep DIR]

Exports the starter (some minutes), then runs all libraries on the same preprocessed clips in turn,
with one thread; the least processor time of a few rounds counts, so that other work on the machine
disturbs little. "plain" is PyTorch with its own convolutions, the others are compared with "torch",
the space as it is. Cosines are those of items that ship to the vectors of the space.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from flops import best_times, ceiling, count_flops
from tables import print_heads, print_row

import openbind
from openbind.export.space import export_space
from openbind.runtime.exported import ExportedSpace, run_clips
from openbind.space.inference import unit_vectors
from openbind.space.shipped import shipped_items

ROUNDS = 6
BATCH = 16
COLD = "import openbind; openbind.load({name!r}{rest}).encode('text', ['a dog'])"


def cold_start(code: str) -> float:
    """Return the processor seconds of the fastest of three processes."""
    found = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(found)


def runtimes(folders: dict[str, Path]) -> dict[str, ExportedSpace]:
    """Open each export with each library that is installed."""
    found = {}
    for name, package in (("onnx", "onnxruntime"), ("openvino", "openvino")):
        if find_spec(package) is None:
            print(f"{name}: skipped, {package} isn't installed.")
            continue
        for dtype, folder in folders.items():
            found[f"{name} {dtype}"] = openbind.load(folder, runtime=name)
    return found


def measure(
    space: openbind.Space, others: dict[str, ExportedSpace], modality: str
) -> tuple[dict[str, tuple[float, float]], float]:
    """Return, for each library, clips a second and the least cosine; and a clip's operations."""
    items = shipped_items(modality)
    clips = torch.cat([space.decoder.preprocess(modality, item).clips for item in items])[:BATCH]
    tower = space.towers[space.config.modalities[modality].tower]

    def plain() -> np.ndarray:
        with (
            patch("openbind.model.convolution._can_fuse", lambda *_: False),
            patch("openbind.model.memory.LARGEST_BLOCK", 1 << 40),
        ):
            return np.asarray(unit_vectors(tower, clips).numpy())

    runs: dict[str, Callable[[], Any]] = {
        "plain": plain,
        "torch": lambda: unit_vectors(tower, clips).numpy(),
    }
    for name, other in others.items():
        graph, run = other.manifest.modalities[modality], other.open(modality)
        listed = list(clips.numpy())
        runs[name] = lambda run=run, graph=graph, listed=listed: np.stack(  # type: ignore[misc]
            run_clips(run, listed, graph.padding, BATCH)
        )
    expected = runs["torch"]()
    cosines = {name: (run() * expected).sum(axis=1) for name, run in runs.items()}
    best = best_times(runs, ROUNDS, time.process_time)
    found = {name: (len(clips) / best[name], float(cosines[name].min())) for name in runs}
    return found, count_flops(plain) / len(clips)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--modalities", default="image,audio,text")
    parser.add_argument("--keep", type=Path, help="folder of the exports, used again if there")
    arguments = parser.parse_args()
    modalities = arguments.modalities.split(",")
    space = openbind.load("starter", device="cpu", dtype="float32", modalities=modalities)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        root = arguments.keep or Path(temporary)
        folders = {dtype: root / dtype for dtype in ("float32", "int8")}
        for dtype, folder in folders.items():
            if not folder.exists():
                export_space(space, folder, modalities=modalities, dtype=dtype)
        others = runtimes(folders)
        heads = ("clips a CPU second", "to torch", "to plain", "of the ceiling", "least cosine")
        print_heads("tower, by", *heads)
        peak = ceiling(clock=time.process_time)
        for modality in modalities:
            print_rows(modality, *measure(space, others, modality), peak)
        if "text" not in modalities:
            return
        print_heads("cold start, one text", "CPU")
        print_start("torch", COLD.format(name="starter", rest=", modalities=['text']"))
        for name in dict.fromkeys(key.split()[0] for key in others):
            rest = f", runtime={name!r}, modalities=['text']"
            print_start(name, COLD.format(name=str(folders["float32"]), rest=rest))


def print_rows(
    modality: str, found: dict[str, tuple[float, float]], operations: float, peak: float
) -> None:
    for name, (rate, least) in found.items():
        ratios = [f"{rate / found[base][0]:.2f} ×" for base in ("torch", "plain")]
        share = f"{rate * operations / peak:.0%}"
        print_row(f"{modality}, {name}", f"{rate:.1f}", *ratios, share, f"{least:.5f}")


def print_start(name: str, code: str) -> None:
    print_row(name, f"{cold_start(code):.2f} s")


if __name__ == "__main__":
    main()
