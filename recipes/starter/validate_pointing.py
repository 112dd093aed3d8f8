"""Write mosaics' data of photographs and sounds that weren't trained on, and a space for them.

    python recipes/starter/validate_pointing.py --data DATA --work SCRATCH --out DIRECTORY
    openbind evaluate DIRECTORY/space --suite mosaics --data DIRECTORY

DATA and SCRATCH are those of build.py, after it has run. The shipped heads have seen the test parts
of the photographs and heard all of ESC-50's folds. The space's image head is the one that the
recipe learns without the test parts; its audio head has heard all folds but the fourth, whose
recordings are the queries. Prints how many of the first five photographs that such a recording
finds, among all of the test parts, show what makes it.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import sounds
import torch
from photographs import MEASURED, Photograph, read_photographs
from safetensors.torch import load_file
from targets import make_targets
from torch.nn import functional as F

import openbind
from openbind.evaluation.held_out import TABLE, HeldOutRow
from openbind.model.backbones.aisfx import AiSFX
from openbind.model.backbones.efficientnet_lite import EfficientNetLite

FOLD = 4
"""Of the recordings that are queries."""
THINGS = {
    "airplane": ("airplane", r"airplanes?|planes?|jets?|jetliner"),
    "cat": ("cat", r"cats?|kittens?"),
    "chirping birds": ("bird", r"birds?|parrots?|pigeons?|seagulls?|owl"),
    "clock tick": ("clock", r"clocks?"),
    "cow": ("cow", r"cows?|cattle|bulls?"),
    "crying baby": ("baby", r"baby|infant|toddler"),
    "dog": ("dog", r"dogs?|pupp(?:y|ies)"),
    "engine": ("motorcycle", r"motorcycles?|motorbikes?"),
    "helicopter": ("helicopter", r"helicopters?"),
    "keyboard typing": ("computer keyboard", r"keyboards?|laptops?"),
    "rain": ("rain", r"umbrellas?|raining|rainy"),
    "rooster": ("rooster", r"roosters?"),
    "sea waves": ("ocean waves", r"waves?|ocean|surf\w*"),
    "sheep": ("sheep", r"sheep|lambs?"),
    "toilet flush": ("toilet", r"toilets?"),
    "train": ("train", r"trains?|locomotive"),
}
"""Class of sounds → the text that is asked, and the words of captions of what makes it."""
SETS = ("coco", "caltech101")
FOUND = 5
"""Photographs that a recording finds."""


def name_thing(photograph: Photograph) -> str | None:
    """Return the class that at least half of the captions name, if they name only one."""
    votes = {
        label: sum(bool(re.search(rf"\b(?:{words})\b", t.lower())) for t in photograph.texts)
        for label, (_, words) in THINGS.items()
    }
    named = [label for label, count in votes.items() if count]
    is_one = len(named) == 1 and 2 * votes[named[0]] >= len(photograph.texts)
    return named[0] if is_one else None


def list_rows(data: Path) -> Iterator[HeldOutRow]:
    """Yield photographs of the test parts, recordings of the fold, and texts."""
    for photograph in read_photographs(data):
        label = name_thing(photograph)
        if label and photograph.set in SETS and photograph.tested:
            yield _row("image", label, photograph.path, photograph.path.stem)
    for recording in sounds.read_recordings(data):
        name = recording.label.replace("_", " ")
        if recording.fold == FOLD and name in THINGS:
            yield _row("audio", name, recording.path, recording.path.stem)
    for label, (text, _) in THINGS.items():
        yield _row("text", label, None, text)


def _row(modality: str, label: str, path: Path | None, title: str) -> HeldOutRow:
    where = str(path.resolve()) if path else ""
    rest = dict.fromkeys(("pair", "settings", "author", "license", "source", "sha256"), "")
    return HeldOutRow(
        path=where, modality=modality, label=label, title=title, set="photographs", **rest
    )


def forget_photographs(space: openbind.Space, work: Path) -> None:
    """Set the image head to the one that hasn't seen the test parts; layout dimensions stay."""
    measured = openbind.load(work / MEASURED, dtype="float32")
    learned = measured.towers[measured.config.modalities["image"].tower].state_dict()
    space.towers["vision"].load_state_dict(learned, strict=False)


def read_targets(space: openbind.Space, data: Path, work: Path) -> torch.Tensor:
    """Return what each class of sounds is to be embedded as, without images of the test part."""
    vision, shown = space.towers["vision"], read_photographs(data)
    assert isinstance(vision, EfficientNetLite)
    names, _ = sounds.labels_of(sounds.read_recordings(data))
    features_NVD = load_file(work / "photograph_features.safetensors")["features_NVD"]
    rows = [index for index, photograph in enumerate(shown) if not photograph.tested]
    with torch.no_grad():
        image_NE = F.normalize(vision.embed(features_NVD[rows, 0]), dim=1)
    texts = sorted({text for index in rows for text in shown[index].texts})
    vectors = dict(zip(texts, torch.from_numpy(space.encode("text", texts)), strict=True))
    words_NE = torch.stack(
        [torch.stack([vectors[t] for t in shown[i].texts]).mean(0) for i in rows]
    )
    label_KE = torch.from_numpy(space.encode("text", names))
    image_NE = F.pad(image_NE, (0, label_KE.shape[1] - image_NE.shape[1]))
    return make_targets(label_KE, words_NE, image_NE)


def forget_folds(
    tower: AiSFX, target_KE: torch.Tensor, data: Path, work: Path, folds: Sequence[int]
) -> AiSFX:
    """Return the audio tower with a head that was learned again, without some folds."""
    found = sounds.read_recordings(data)
    kept_N = torch.tensor([recording.fold not in folds for recording in found])
    clean, degraded = (
        sounds.Heard(**load_file(work / f"{name}.safetensors")).of(kept_N)
        for name in ("audio_features", "audio_features_degraded")
    )
    return sounds.learn_audio_head(tower, clean, degraded, sounds.labels_of(found)[1], target_KE)


def measure_found(space: openbind.Space, rows: Sequence[HeldOutRow], data: Path) -> float:
    """Return how many of a recording's first photographs show what makes it, on average."""
    shown = [p for p in read_photographs(data) if p.set in SETS and p.tested]
    label_N = np.array([name_thing(photograph) or "" for photograph in shown])
    heard = [row for row in rows if row.modality == "audio"]
    image_NE = space.encode("image", [photograph.path for photograph in shown])
    score_QN = space.encode("audio", [row.path for row in heard]) @ image_NE.T
    best_QK = np.argsort(-score_QN, axis=1)[:, :FOUND]
    wanted_Q1 = np.array([row.label for row in heard])[:, None]
    return float((label_N[best_QK] == wanted_Q1).mean())


def main() -> None:
    """Write the table and the space."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "work", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    rows = list(list_rows(given.data))
    given.out.mkdir(parents=True, exist_ok=True)
    with (given.out / TABLE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(asdict(rows[0])))
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    space = openbind.load("starter", dtype="float32")
    forget_photographs(space, given.work)
    tower = space.towers["audio"]
    assert isinstance(tower, AiSFX)
    target_KE = read_targets(space, given.data, given.work)
    learned = forget_folds(tower, target_KE, given.data, given.work, (FOLD,))
    tower.load_state_dict(learned.state_dict())
    openbind.save(space, given.out / "space")
    print(f"audio → photograph, precision@{FOUND}: {measure_found(space, rows, given.data):.3f}")


if __name__ == "__main__":
    main()
