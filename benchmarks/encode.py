"""Files per second of the starter by kind of file, beside decoding alone and the tower alone.

    python benchmarks/encode.py [--files 48] [--kinds "image, 12 MP" ...] [--passive] [--processes]

Method: made files, all different, are embedded by `space.encode`; decoded and preprocessed alone,
by as many threads; and their clips embedded alone, in the same batches. The three alternate; the
best of two rounds counts, each by itself for seconds of the clock and of the processor. "Of the
slower" is `encode`'s rate over the lower of the two others'. Where decoding and tower share cores
it can't reach 1: there "of both, CPU" says what `encode` adds, the processor's time of both halves
over that of the whole. FLOPs are counted by PyTorch; the ceiling is a float32 product, see
`machine.py`.

`--passive` lets PyTorch's threads sleep where they wait (`OMP_WAIT_POLICY`) instead of spinning.
`--processes` measures `embed_many` with decoding in processes instead of threads, too, once they
run.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from flops import ceiling, count_flops
from loader import write_motion
from PIL import Image
from serve_folder import Maker
from tables import print_heads, print_row

import openbind
from openbind.embedding.many import Entry, embed_many
from openbind.space.decoding import map_ahead
from openbind.space.pipeline import ClipEmbedder

ROUNDS, RATE_HZ, WARM = 2, 44_100, 2
WAITING = "OMP_WAIT_POLICY"
WORDS = ("a", "dog", "and", "cat", "near", "the", "old", "house", "while", "rain", "falls", "on")
Write = Callable[[Path, int], Any]
"""From a path without an extension and a number to the item that was written."""


def write_image(path: Path, number: int, *, size: tuple[int, int], suffix: str = ".jpg") -> Path:
    """Write an image that is smooth as photographs are."""
    small = np.random.default_rng(number).integers(256, size=(48, 64, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)
    image.save(path.with_suffix(suffix), quality=90)
    return path.with_suffix(suffix)


def write_sound(path: Path, number: int, *, suffix: str) -> Path:
    """Write five seconds of noise in stereo."""
    samples = np.random.default_rng(number).normal(0, 0.1, (5 * RATE_HZ, 2))
    soundfile.write(path.with_suffix(suffix), samples, RATE_HZ)
    return path.with_suffix(suffix)


def write_video(path: Path, number: int) -> Path:
    """Write four seconds of 320 × 240."""
    Maker(path.parent).video(number)
    return path.parent / f"video-{number:04}.mp4"


def write_depth(path: Path, number: int) -> Path:
    """Write depths in millimeters."""
    small = np.random.default_rng(number).integers(500, 5000, size=(24, 32)).astype(np.int32)
    image = Image.fromarray(small, "I").resize((640, 480), Image.Resampling.BILINEAR)
    Image.fromarray(np.asarray(image).astype(np.uint16)).save(path.with_suffix(".png"))
    return path.with_suffix(".png")


def write_text(_: Path, number: int) -> str:
    """Return a text of some words."""
    rng = np.random.default_rng(number)
    return " ".join(rng.choice(WORDS, rng.integers(4, 20)))


KINDS: dict[str, tuple[str, Write, float]] = {
    "image, 0.8 MP JPEG": ("image", partial(write_image, size=(1024, 768)), 1),
    "image, 12 MP JPEG": ("image", partial(write_image, size=(4000, 3000)), 0.5),
    "text": ("text", write_text, 8),
    "audio, 5 s FLAC": ("audio", partial(write_sound, suffix=".flac"), 1),
    "audio, 5 s WAV": ("audio", partial(write_sound, suffix=".wav"), 1),
    "video, 4 s MP4": ("video", write_video, 0.25),
    "depth, 16-bit PNG": ("depth", write_depth, 2),
    "thermal, JPEG": ("thermal", partial(write_image, size=(640, 480)), 2),
    "imu, 5 s CSV": (
        "imu",
        lambda path, number: write_motion(path, np.random.default_rng(number)),
        4,
    ),
}
"""Name → modality, what writes one, how many of `--files`."""


def best_of(runs: dict[str, Callable[[], object]]) -> dict[str, tuple[float, float]]:
    """Return the least seconds and CPU seconds of each, by turns."""
    best = dict.fromkeys(runs, (float("inf"), float("inf")))
    for _ in range(ROUNDS):
        for name, run in runs.items():
            wall, used = time.perf_counter(), time.process_time()
            run()
            taken = time.perf_counter() - wall, time.process_time() - used
            best[name] = min(best[name][0], taken[0]), min(best[name][1], taken[1])
    return best


def rate_in_processes(space: openbind.Space, modality: str, items: list[Any]) -> float:
    """Return files per second once decoding processes have started."""
    found = embed_many(space, [Entry(modality, item) for item in 2 * items], processes=True)
    for _ in items:
        next(found)
    start = time.perf_counter()
    return len(list(found)) / (time.perf_counter() - start)


def measure(
    space: openbind.Space, modality: str, items: list[Any], peak: float, processes: bool
) -> list[str]:
    """Return the cells of a kind."""

    def decode(item: Any) -> Any:
        return [sample.clips for sample in space.decoder.samples(modality, item)]

    def embed(clips: list[torch.Tensor]) -> object:
        return ClipEmbedder(space.batching())(modality, clips)

    def clips_of(item: Any) -> list[torch.Tensor]:
        return [clip for clips in decode(item) for clip in clips]

    clips = [clip for item in items for clip in clips_of(item)]
    space.encode(modality, items[:WARM])
    found = best_of(
        {
            "both": lambda: space.encode(modality, items),
            "decoding": lambda: [result() for result in map_ahead(decode, items)],
            "tower": lambda: embed(clips),
        }
    )
    rates = {name: len(items) / wall for name, (wall, _) in found.items()}
    cpu = {name: used for name, (_, used) in found.items()}
    share = count_flops(lambda: embed(clips)) / found["tower"][0] / peak
    cells = [
        *(f"{rates[name]:,.0f}" for name in ("both", "decoding", "tower")),
        f"{rates['both'] / min(rates['decoding'], rates['tower']):.2f}",
        f"{(cpu['decoding'] + cpu['tower']) / cpu['both']:.2f}",
        f"{share:.0%}",
    ]
    if processes:
        cells.append(f"{rate_in_processes(space, modality, items) / rates['both']:.2f} ×")
    return cells


def main() -> None:
    """Measure all kinds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--files", type=int, default=48, help="of an average kind")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--passive", action="store_true")
    parser.add_argument("--processes", action="store_true")
    options = parser.parse_args()
    if options.passive and os.environ.get(WAITING) != "passive":
        os.environ[WAITING] = "passive"  # which is read when the process starts
        os.execv(sys.executable, [sys.executable, *sys.argv])  # noqa: S606 - itself
    space = openbind.load("starter", device="cpu", dtype="float32")
    heads = ["files", "files/s", "decoding alone", "tower alone", "of the slower", "of both, CPU"]
    extra = ["decoding in processes"] if options.processes else []
    print_heads(*heads, "tower, of float32's ceiling", *extra)
    peak = ceiling()
    for name in options.kinds:
        modality, write, share = KINDS[name]
        with tempfile.TemporaryDirectory() as folder:
            count = max(8, round(options.files * share))
            items = [write(Path(folder) / f"{number:04}", number) for number in range(count)]
            print_row(name, *measure(space, modality, items, peak, options.processes))


if __name__ == "__main__":
    main()
