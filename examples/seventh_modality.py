"""A seventh modality in one file: an electronic nose, bound to images, then classified by text.

    python examples/seventh_modality.py runs/nose

The sensor is made up: eight channels, sampled while a smell rises and fades, different for each
thing. Readings are paired with images of the same thing for training; new readings are then
classified by text, which they were never paired with.
"""

from __future__ import annotations

import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import openbind
from openbind.data.sources.manifest import Manifest
from openbind.errors import InputError
from openbind.evaluation.samples import read_samples, samples_folder
from openbind.modalities import MODALITIES
from openbind.modalities.spec import Modality, Preprocess, Sample
from openbind.training.optimization import Schedule
from openbind.training.recipe import PairPlan, Recipe
from openbind.training.run import train
from openbind.training.towers import TowerPlan

CHANNELS = 8


# 1. The modality: its inputs, and the tensor that its tower gets.
@dataclass(frozen=True, kw_only=True)
class SmellSettings:
    """Settings of the preprocessing.

    Args:
        steps: of a reading; longer ones are cut, shorter ones padded with their last value.
    """

    steps: int = 32


def prepare(settings: SmellSettings, folder: Path | None) -> Preprocess:
    """Return the function from a reading, an array (T, 8) or .npy file, to smell_SCT."""

    def preprocess(item: Any) -> Sample:
        is_path = isinstance(item, str | Path)
        try:
            reading_TC = np.load(item, allow_pickle=False) if is_path else np.asarray(item)
        except (OSError, ValueError) as error:
            raise InputError(item, f"can't be read as a reading ({error})") from error
        if reading_TC.ndim != 2 or reading_TC.shape[1] != CHANNELS or not len(reading_TC):
            raise InputError(item, f"expected (T, {CHANNELS}) values, found {reading_TC.shape}")
        padded_TC = np.pad(reading_TC, ((0, settings.steps), (0, 0)), mode="edge")
        cut_CT = padded_TC[: settings.steps].T.astype(np.float32)
        return Sample(torch.from_numpy(np.ascontiguousarray(cut_CT))[None])

    return preprocess


SMELL = Modality(
    name="smell",
    accepts=f"an array (T, {CHANNELS}) or a .npy file of one",
    settings=SmellSettings,
    prepare=prepare,
    clip_dims=2,
    has_clips=False,
    tower="smell",
    scale=10.0,
)
MODALITIES.add("smell", SMELL)


# 2. The data: readings, and images of the same things.
def smell(thing: str, index: int) -> np.ndarray:
    """Simulate a reading: each thing has an amplitude and a delay on each channel, plus noise."""
    nature = np.random.default_rng(zlib.crc32(thing.encode()))
    strength_C, delay_C = nature.uniform(0, 1, CHANNELS), nature.uniform(0, 10, CHANNELS)
    rng = np.random.default_rng([index, zlib.crc32(thing.encode())])
    seconds_TC = np.arange(32)[:, None] - delay_C - rng.normal(0, 0.5)
    rise_TC = np.clip(seconds_TC, 0, None) * np.exp(-np.clip(seconds_TC, 0, None) / 6) / 3
    return rise_TC * strength_C * rng.uniform(0.8, 1.2) + rng.normal(0, 0.05, rise_TC.shape)


def write_data(folder: Path, things: dict[str, list[Path]]) -> None:
    """Write twenty readings of each thing, and a manifest that pairs them with images."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["smell,image,label"]
    for number, (thing, images) in enumerate(things.items()):
        for index in range(20):
            name = f"{number}-{index}.npy"
            np.save(folder / name, smell(thing, index))
            lines.append(f"{name},{images[index % len(images)]},{thing}")
    (folder / "pairs.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


# 3. The recipe; as YAML it is a file for `openbind train`.
RECIPE = Recipe(
    name="nose",
    start="starter",
    batch_size=32,
    pairs=(
        PairPlan(
            pair=("image", "smell"),
            data=Manifest(manifest="pairs.csv"),
            validation=0.1,
            positives="label",
            temperature=0.1,
        ),
    ),
    towers={
        "smell": TowerPlan(
            config={
                "stem": {"channels": CHANNELS, "kernel": 4, "steps": 32},
                "trunk": {"width": 64, "depth": 2, "heads": 4},
                "head": {},
            }
        )
    },
    schedule=Schedule(lr=2e-3, steps=150, warmup_steps=15),
)


def main(output: Path) -> float:
    """Train, load the result, and classify new readings by text; returns the accuracy."""
    things: dict[str, list[Path]] = {}
    for item in read_samples(samples_folder()):
        if item.modality == "image":
            things.setdefault(item.concept, []).append(samples_folder() / item.path)
    things = {name: paths for name, paths in things.items() if len(paths) >= 3}
    write_data(output / "data", things)
    run = train(RECIPE, output / "data", output / "run", resume=True, progress=True)

    space = openbind.load(str(run))
    names = list(things)
    readings = space.encode("smell", [smell(name, index) for name in names for index in (98, 99)])
    labels = space.encode("text", names)
    right = (readings @ labels.T).argmax(axis=1) == np.repeat(np.arange(len(names)), 2)
    print(f"zero-shot accuracy of {len(readings)} new readings: {right.mean():.2f}, ", end="")
    print(f"chance {1 / len(names):.2f}; modalities: {', '.join(space.modalities)}")
    return float(right.mean())


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/nose"))
