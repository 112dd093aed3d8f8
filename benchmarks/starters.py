"""Images and sounds per CPU-second of the starter, as a ratio to another starter's.

    python benchmarks/starters.py --before FOLDER

FOLDER is `src/openbind/assets/starter` of another tree. The two spaces alternate in each round, in
one process and one thread; the best of four rounds counts.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch

import openbind
from openbind.evaluation.samples import read_samples, samples_folder

ROUNDS = 4
COUNTS = {"image": 12, "audio": 4}
"""Items of each modality, of the sample collection."""


def read_items(modality: str) -> list[Any]:
    """Return the first items of a modality."""
    folder = samples_folder()
    items = [item for item in read_samples(folder) if item.modality == modality]
    return [item.content(folder) for item in items[: COUNTS[modality]]]


def seconds(space: openbind.Space, modality: str, items: list[Any]) -> float:
    """Return the CPU time per item."""
    start = time.process_time()
    space.encode(modality, items)
    return (time.process_time() - start) / len(items)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    now, before = (
        openbind.load(name, modalities=list(COUNTS), device="cpu")
        for name in ("starter", arguments.before)
    )
    for modality in COUNTS:
        items = read_items(modality)
        times = [
            (seconds(now, modality, items), seconds(before, modality, items)) for _ in range(ROUNDS)
        ]
        best_now, best_before = (min(own) for own in zip(*times, strict=True))
        print(f"{modality}: {1 / best_now:.1f} per second, {best_before / best_now:.2f} × before")


if __name__ == "__main__":
    main()
