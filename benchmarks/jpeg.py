"""Large JPEGs decoded at a fraction of their size, beside the whole: time, and cosines of vectors.

    python benchmarks/jpeg.py

Mosaics of 5 × 5 sample photographs, 3200 × 2400 pixels. What is decoded before, by PIL, is always
read whole. The least time of the calling thread in a few rounds counts.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import torch
from PIL import Image
from tables import print_heads, print_row

import openbind
from openbind.evaluation.samples import read_samples, samples_folder

MOSAICS, TILES, ROUNDS = 6, 5, 3
TILE = (640, 480)


def mosaics() -> list[bytes]:
    """Return JPEGs of different photographs each."""
    folder = samples_folder()
    photographs = [folder / i.path for i in read_samples(folder) if i.modality == "image"]
    made = []
    for first in range(0, MOSAICS * TILES**2, TILES**2):
        canvas = Image.new("RGB", (TILES * TILE[0], TILES * TILE[1]))
        for place, path in enumerate(photographs[first : first + TILES**2]):
            tile = Image.open(path).convert("RGB").resize(TILE)
            canvas.paste(tile, (TILE[0] * (place % TILES), TILE[1] * (place // TILES)))
        out = io.BytesIO()
        canvas.save(out, "JPEG", quality=92)
        made.append(out.getvalue())
    return made


def best_seconds(function: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        start = time.thread_time()
        function()
        times.append(time.thread_time() - start)
    return min(times)


def main() -> None:
    torch.set_num_threads(1)
    space = openbind.load("starter", device="cpu", modalities=["image"])
    preprocess, data = space.decoder.prepare("image"), mosaics()
    reduced = best_seconds(lambda: [preprocess(item) for item in data])
    whole = best_seconds(lambda: [preprocess(Image.open(io.BytesIO(item))) for item in data])
    exact = space.encode("image", [Image.open(io.BytesIO(item)) for item in data])
    cosines = (space.encode("image", data) * exact).sum(axis=1)
    print_heads("JPEG of 7.7 MP", "CPU ms", "of the whole", "least cosine")
    print_row("whole", f"{1e3 * whole / len(data):.0f}", 1, 1)
    share = f"{reduced / whole:.2f}"
    print_row(
        "at half of its sides", f"{1e3 * reduced / len(data):.0f}", share, f"{cosines.min():.5f}"
    )


if __name__ == "__main__":
    main()
