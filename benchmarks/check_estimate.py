"""What `openbind train --dry-run` estimates, beside what the run then takes.

Method: recipes of three kinds on made sounds and images: a head on features of a frozen body; a
tower from scratch, with the frozen side and its own decoded; a whole tower with validation and
images of what held rows retrieve. Each is first tried, then run, in a process of its own with an
empty cache; both are wall time, without imports, so that the machine has to be idle (the column of
CPU time tells whether it was). The estimate is what a dry run prints.

    python benchmarks/check_estimate.py [--recipes head scratch full]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

import numpy as np
from PIL import Image

ROWS, CLASSES = 160, 8
RATE = 16_000
SECONDS = 2

RECIPES = {
    "head": """
start: starter
batch_size: 64
pairs: [{pair: [image, audio], data: {manifest: pairs.csv}, validation: 0.2, positives: label}]
towers: {audio: {start: space, train: head, head: {standardize: true}}}
schedule: {lr: 1e-3, steps: 400}
logging: {validate_every: 200}
""",
    "scratch": """
start: starter
batch_size: 32
pairs:
  - pair: [image, thermal]
    data: {manifest: pairs.csv}
    views: {count: 2, crop: [0.4, 1.0]}
    augment: {thermal: [erase]}
towers: {thermal: {start: scratch, size: tiny}}
schedule: {lr: 1e-3, steps: 60}
""",
    "full": """
start: starter
batch_size: 8
pairs: [{pair: [image, audio], data: {manifest: pairs.csv}, validation: 0.2, positives: label}]
towers: {audio: {start: space}}
schedule: {lr: 1e-4, steps: 16}
logging: {validate_every: 8, samples: 6}
""",
}


def write_data(folder: Path) -> None:
    """Write images, gray ones as thermal maps, and tones, in classes."""
    rng = np.random.default_rng(0)
    lines = ["image,thermal,audio,label"]
    for row in range(ROWS):
        kind = row % CLASSES
        coarse = rng.integers(256, size=(12, 16, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC)
        image.save(folder / f"{row}.jpg")
        image.convert("L").save(folder / f"{row}.png")
        time_T = np.arange(SECONDS * RATE) / RATE
        tone_T = np.sin(2 * np.pi * 200 * (kind + 1) * time_T) + 0.3 * rng.normal(size=len(time_T))
        with wave.open(str(folder / f"{row}.wav"), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes((tone_T * 8000).astype("<i2").tobytes())
        lines.append(f"{row}.jpg,{row}.png,{row}.wav,kind {kind}")
    (folder / "pairs.csv").write_text("\n".join(lines) + "\n")


def measure(mode: str, recipe_path: Path) -> dict[str, float]:
    """Try a recipe or run it; returns seconds."""
    from openbind.training.check import check_recipe
    from openbind.training.recipe_file import read_recipe
    from openbind.training.run import train

    recipe = read_recipe(recipe_path, {"hardware.device": "cpu"})
    started, cpu = time.perf_counter(), time.process_time()
    if mode == "run":
        train(recipe, recipe_path.parent, recipe_path.parent / "run")
        return {"wall": time.perf_counter() - started, "cpu": time.process_time() - cpu}
    report = check_recipe(recipe, recipe_path.parent)
    return {
        "total": report.total_seconds,
        "other": report.other_seconds,
        "once": report.once_seconds,
        "steps": report.step_seconds,
        "validation": report.validation_seconds,
    }


def in_process(mode: str, recipe: Path) -> dict[str, float]:
    """Call `measure` in a process of its own."""
    command = [sys.executable, __file__, "--mode", mode, "--file", str(recipe)]
    environment = {**os.environ, "OPENBIND_CACHE": str(recipe.parent / f"cache-{mode}")}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    numbers: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return numbers


def main() -> None:
    """Measure all recipes and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=RECIPES)
    parser.add_argument("--mode", choices=("check", "run"), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.mode:
        print(json.dumps(measure(options.mode, options.file)))
        return
    print(
        "| recipe | estimate | loading and writing, once, steps, validation | run | CPU | ratio |"
    )
    print("|---|---|---|---|---|---|")
    for name in options.recipes:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            write_data(folder)
            (folder / "recipe.yaml").write_text(f"name: {name}\n{RECIPES[name]}")
            found = in_process("check", folder / "recipe.yaml")
            real = in_process("run", folder / "recipe.yaml")
        parts = ", ".join(f"{found[part]:.1f}" for part in ("other", "once", "steps", "validation"))
        print(
            f"| {name} | {found['total']:.1f} s | {parts} | {real['wall']:.1f} s | "
            f"{real['cpu']:.1f} s | {found['total'] / real['wall']:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
