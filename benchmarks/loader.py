"""Throughput of the training loader, in items per second, on synthetic images, audio and IMU data.

Method: a few hundred files are written to a temporary folder; batches are sampled as in training,
and the trained side is decoded, cut to its view, preprocessed and augmented as in the paper's
recipes, with 0, 1 and 2 worker processes. The first batch isn't counted.

    python benchmarks/loader.py [--items 200] [--batches 24]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image
from tables import print_heads, print_row

from openbind.data.augment import read_augmentations
from openbind.data.loader import AugmentedItems, load_batches
from openbind.data.pairs import Row
from openbind.data.sampler import PairSize, Sampler, StepBatches
from openbind.data.table import tabulate
from openbind.data.views import ViewPlan
from openbind.modalities import MODALITIES

BATCH = 16
CROPS = ViewPlan(count=4, crop=(0.08, 1.0), flip=0.5)


def write_image(path: Path, rng: np.random.Generator) -> Path:
    """Write a JPEG of 640 × 480, as in LLVIP."""
    small = Image.fromarray(rng.integers(256, size=(48, 64), dtype=np.uint8))
    small.resize((640, 480), Image.Resampling.BICUBIC).save(path.with_suffix(".jpg"))
    return path.with_suffix(".jpg")


def write_sound(path: Path, rng: np.random.Generator) -> Path:
    """Write ten seconds of stereo FLAC at 44.1 kHz."""
    samples = rng.normal(0, 0.1, (441_000, 2))
    soundfile.write(path.with_suffix(".flac"), samples, 44_100)
    return path.with_suffix(".flac")


def write_motion(path: Path, rng: np.random.Generator) -> Path:
    """Write five seconds of accelerometer and gyroscope at 200 Hz."""
    table = np.column_stack([np.arange(1000) / 200, rng.normal(size=(1000, 6))])
    header = "seconds,ax,ay,az,gx,gy,gz"
    np.savetxt(path.with_suffix(".csv"), table, "%.5g", ",", header=header, comments="")
    return path.with_suffix(".csv")


Case = tuple[Callable[[Path, np.random.Generator], Path], ViewPlan, list[Any], dict[str, Any]]
CASES: dict[str, Case] = {
    "thermal": (write_image, CROPS, ["erase"], {}),
    "audio": (write_sound, ViewPlan(count=4, seconds=2.0), ["frequency_mask"], {"clips": 1}),
    "imu": (write_motion, ViewPlan(), [], {"rate_hz": 400}),
}


def measure(modality: str, folder: Path, items: int, batches: int, workers: int) -> float:
    """Read batches and return items per second."""
    write, plan, operations, settings = CASES[modality]
    spec = MODALITIES.get(modality)
    if not any(folder.iterdir()):
        for index in range(items):
            write(folder / str(index), np.random.default_rng(index))
    rows = [Row(key=p.name, items={modality: (p,)}) for p in sorted(folder.iterdir())]
    table = tabulate(rows, modality)
    side = AugmentedItems(
        table,
        modality,
        spec.settings(**settings),
        None,
        plan,
        read_augmentations(operations),
        seed=0,
    )
    sizes = [PairSize(modality, table.choices, plan.count, 1)]
    sampler = Sampler(sizes, batch_size=BATCH, steps=batches + 1, seed=0)
    found = load_batches([modality], [side], [table], StepBatches(sampler, 0), num_workers=workers)
    next(found)
    started = time.perf_counter()
    count = sum(len(batch.inputs) for batch in islice(found, batches))
    return count / (time.perf_counter() - started)


def main() -> None:
    """Measure all cases and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--batches", type=int, default=24)
    options = parser.parse_args()
    print_heads("items per second", "no workers", "1 worker", "2 workers", "2 workers to none")
    for modality in CASES:
        with tempfile.TemporaryDirectory() as folder:
            rates = [
                measure(modality, Path(folder), options.items, options.batches, workers)
                for workers in (0, 1, 2)
            ]
        print_row(modality, *(f"{rate:.0f}" for rate in rates), f"{rates[2] / rates[0]:.2f} ×")


if __name__ == "__main__":
    main()
