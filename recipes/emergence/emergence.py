"""Show emergent alignment: train audio against images, then classify it by text.

    python recipes/emergence/emergence.py --output runs/emergence
    python recipes/emergence/emergence.py --output runs/emergence-esc --sounds DIRECTORY

Trains a linear head on frozen audio features three ways: on true pairs, on pairs shuffled across
classes, and not at all. Each fold of the audio is held out of one training and classified there by
the class names. SOUNDS has one folder per class; without it the samples are used.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

import openbind
from openbind.evaluation.samples import read_samples, samples_folder
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


def write_pairs(path: Path, sounds: Sequence[tuple[Path, str]], shuffle: bool) -> None:
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


def classify(space: openbind.Space, sounds: Sequence[tuple[Path, str]]) -> list[bool]:
    """Return for each audio file whether the nearest class name is its own."""
    names = sorted({name for _, name in sounds})
    vectors = space.encode("audio", [path for path, _ in sounds])
    nearest = (vectors @ space.encode("text", names).T).argmax(axis=1)
    return [names[place] == name for place, (_, name) in zip(nearest, sounds, strict=True)]


def show_emergence(
    output: Path,
    sounds: Mapping[str, Sequence[Path]],
    folds: int = 4,
    changes: Mapping[str, str] | None = None,
) -> dict[str, float]:
    """Train all variants and classify what each was not trained on.

    Args:
        output: folder of the runs.
        sounds: class → its audio files, split into folds in this order.
        folds: number of folds.
        changes: overrides of the recipe.

    Returns:
        the accuracy of each variant, and of chance.
    """
    numbers = {"chance": 1 / len(sounds)}
    for way, own in WAYS.items():
        right: list[bool] = []
        for fold in range(folds):
            heard: list[tuple[Path, str]] = []
            unheard: list[tuple[Path, str]] = []
            for name, paths in sounds.items():
                for index, path in enumerate(paths):
                    held = index * folds // len(paths) == fold
                    (unheard if held else heard).append((path, name))
            folder = output / f"{way}-{fold}"
            folder.mkdir(parents=True, exist_ok=True)
            write_pairs(folder / "pairs.jsonl", heard, shuffle=way == "shuffled")
            recipe = read_recipe(RECIPE, {**(changes or {}), **own})
            run = train(recipe, folder, folder / "run", resume=True)
            assert run is not None
            right += classify(openbind.load(run), unheard)
        numbers[way] = sum(right) / len(right)
    return numbers


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--sounds", type=Path, help="folder of classes (default: the samples)")
    options = parser.parse_args()
    for way, accuracy in show_emergence(options.output, find_sounds(options.sounds)).items():
        print(f"{way:10} {accuracy:.3f}")


if __name__ == "__main__":
    main()
