"""Show emergent alignment: train audio against images, then name it by text.

    python recipes/emergence/emergence.py --output runs/emergence
    python recipes/emergence/emergence.py --output runs/emergence-esc --sounds DIRECTORY

Trains a linear head on frozen audio features three ways: on true pairs, on pairs shuffled across
classes, and not at all. A quarter of the classes is left out of each training, neither heard nor
seen, and a quarter of the other classes' recordings. What was left out is named by the nearest
class name. SOUNDS has one folder per class; without it the samples are used.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

import openbind
from openbind.evaluation.metrics import fraction_interval
from openbind.evaluation.samples import read_samples, samples_folder
from openbind.training.heads import features, head_layer
from openbind.training.recipe_file import read_recipe
from openbind.training.run import train

RECIPE = Path(__file__).with_name("recipe.yaml")
# ESC-10's folder names as the samples call these classes.
NAMES = {
    "baby_cry": "crying baby",
    "clock_tick": "clock",
    "dog_bark": "dog",
    "fire_crackling": "fire",
    "person_sneeze": "sneezing",
    "sea_waves": "sea waves",
}
WAYS: dict[str, dict[str, str]] = {
    "bound": {},
    "shuffled": {},
    "untrained": {"schedule.steps": "1", "schedule.warmup_steps": "0", "schedule.lr": "1e-12"},
}


TASKS = (
    "recordings never heard, among all names",
    "classes never heard, among all names",
    "classes never heard, among themselves",
)
Sound = tuple[Path, str]
"""A recording and its class."""
Heard = Mapping[Path, torch.Tensor]
"""Recording → features of its clips."""


@dataclass(frozen=True)
class Named:
    """How many recordings were named right.

    Args:
        right, count: of the recordings.
        expected: number of those that are right by chance.
    """

    right: int = 0
    count: int = 0
    expected: float = 0.0

    def add(self, right: Sequence[bool], names: Sequence[str]) -> Named:
        """Return the numbers with those of a fold, named by one of some names."""
        count, expected = self.count + len(right), self.expected + len(right) / len(names)
        return Named(self.right + sum(right), count, expected)

    @property
    def accuracy(self) -> float:
        """The fraction that is named right."""
        return self.right / self.count

    @property
    def chance(self) -> float:
        """The fraction that is right by chance."""
        return self.expected / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """Of 95 % (Wilson)."""
        return fraction_interval(self.accuracy, self.count)


def find_sounds(folder: Path | None) -> dict[str, list[Path]]:
    """List the audio files of each class: of a folder of classes, or of samples that have four."""
    if folder is not None:
        classes = sorted(place for place in folder.iterdir() if place.is_dir())
        return {
            NAMES.get(c.name, c.name.replace("_", " ")): sorted(c.resolve().iterdir())
            for c in classes
        }
    sounds: dict[str, list[Path]] = {}
    for item in read_samples(samples_folder()):
        if item.modality == "audio":
            sounds.setdefault(item.concept, []).append(samples_folder() / item.path)
    return {name: paths for name, paths in sounds.items() if len(paths) >= 4}


def find_images(names: Sequence[str]) -> dict[str, list[Path]]:
    """List the samples' images of each class."""
    images: dict[str, list[Path]] = {name: [] for name in names}
    for item in read_samples(samples_folder()):
        if item.modality == "image" and item.concept in images:
            images[item.concept].append(samples_folder() / item.path)
    return images


def write_pairs(path: Path, sounds: Sequence[Sound], shuffle: bool) -> None:
    """Write the training pairs: each audio file with the images of its class, or of any class."""
    names = [name for _, name in sounds]
    images = find_images(names)
    if shuffle:
        names = np.random.default_rng(0).permutation(names).tolist()
    lines = [
        json.dumps({"audio": str(sound), "image": [str(p) for p in images[name]], "label": name})
        for (sound, _), name in zip(sounds, names, strict=True)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def hear(paths: Sequence[Path]) -> Heard:
    """Compute the features of recordings' clips by the frozen body, which no training changes."""
    space = openbind.load("starter", modalities=["audio"], dtype="float32")
    tower = space.towers["audio"]
    return {path: features(tower, space.preprocess("audio", [path])[0]) for path in paths}


def name_sounds(
    space: openbind.Space, heard: Heard, sounds: Sequence[Sound], names: Sequence[str]
) -> list[bool]:
    """Return for each recording whether the nearest of some names is its own.

    A recording's vector is the mean of its clips' unit vectors, as `Space.encode` computes it.
    """
    head = head_layer(space.towers["audio"])
    with torch.no_grad():
        clips = [F.normalize(head(heard[path]), dim=1) for path, _ in sounds]
    vectors_NE = torch.stack([clips_SE.mean(0) for clips_SE in clips]).numpy()
    nearest_N = (vectors_NE @ space.encode("text", list(names)).T).argmax(axis=1)
    return [names[place] == own for place, (_, own) in zip(nearest_N, sounds, strict=True)]


def train_without(
    output: Path, heard: Sequence[Sound], way: str, changes: Mapping[str, str]
) -> openbind.Space:
    """Train one variant on what is heard.

    Args:
        output: folder of the run.
        heard: recordings with their classes.
        way: one of `WAYS`.
        changes: overrides of the recipe.
    """
    output.mkdir(parents=True, exist_ok=True)
    write_pairs(output / "pairs.jsonl", heard, shuffle=way == "shuffled")
    recipe = read_recipe(RECIPE, {**changes, **WAYS[way]})
    run = train(recipe, output, output / "run", resume=True)
    assert run is not None
    return openbind.load(run, modalities=["audio", "text"], dtype="float32")


def show_emergence(
    output: Path,
    sounds: Mapping[str, Sequence[Path]],
    folds: int = 4,
    changes: Mapping[str, str] | None = None,
) -> dict[str, dict[str, Named]]:
    """Train all variants and name what each was not trained on.

    Args:
        output: folder of the runs.
        sounds: class → its recordings; classes, and recordings of a class, are split into folds
            in this order.
        folds: number of folds.
        changes: overrides of the recipe.

    Returns:
        task → variant → how many were named right.
    """
    names = sorted(sounds)
    found: dict[str, dict[str, Named]] = {task: {} for task in TASKS}
    heard = hear([path for paths in sounds.values() for path in paths])
    for way in WAYS:
        for fold in range(folds):
            out = {name for at, name in enumerate(names) if at * folds // len(names) == fold}
            split = split_sounds(sounds, out, folds, fold)
            if way != "untrained" or fold == 0:  # untrained, it's the same without any class
                space = train_without(output / f"{way}-{fold}", split["heard"], way, changes or {})
            choices = (
                ("new recordings", names),
                ("new classes", names),
                ("new classes", sorted(out)),
            )
            for task, (part, offered) in zip(TASKS, choices, strict=True):
                right = name_sounds(space, heard, split[part], offered)
                found[task][way] = found[task].get(way, Named()).add(right, offered)
    return found


def split_sounds(
    sounds: Mapping[str, Sequence[Path]], out: Collection[str], folds: int, fold: int
) -> dict[str, list[Sound]]:
    """Split recordings into what is heard, new recordings of heard classes, and new classes.

    Args:
        sounds: class → its recordings.
        out: classes that are left out.
        folds: number of folds of each class's recordings.
        fold: the one that is left out.
    """
    split: dict[str, list[Sound]] = {"heard": [], "new recordings": [], "new classes": []}
    for name, paths in sounds.items():
        for index, path in enumerate(paths):
            is_new = index * folds // len(paths) == fold
            part = "new classes" if name in out else "new recordings" if is_new else "heard"
            split[part].append((path, name))
    return split


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--sounds", type=Path, help="folder of classes (default: the samples)")
    options = parser.parse_args()
    for task, ways in show_emergence(options.output, find_sounds(options.sounds)).items():
        first = next(iter(ways.values()))
        print(f"{task}: {first.count} recordings, chance {first.chance:.3f}")
        for way, named in ways.items():
            low, high = named.interval
            print(f"  {way:10} {named.accuracy:.3f} ({low:.3f}–{high:.3f})")


if __name__ == "__main__":
    main()
