"""Choose the settings of sounds, IMU, depth and thermal, on parts that no reported number touches.

    python recipes/starter/choose.py --data DATA --work SCRATCH

after `build.py` with the same folders, whose cached features it reads. Prints for each setting what
it gives on the part for choosing (README.md has the table); `validate*.py` measure the one that was
chosen on other folds, people, rooms and streets.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import build
import motions
import numpy as np
import scenes
import sounds
import torch
import validate
import validate_maps
import validate_motions
import widen
from assemble import AUDIO_SETTINGS
from manifests import read_lines
from targets import WEIGHT, make_targets
from torch import Tensor
from torch.nn import functional as F

import openbind
from openbind.model.backbones.aisfx import AiSFX
from openbind.model.backbones.efficientnet_lite import EfficientNetLite
from openbind.model.backbones.efficientnet_lite_map import EfficientNetLiteMap
from openbind.space.card import Measurement
from openbind.training.class_mixture import MixturePlan
from openbind.training.heads import HeadNet, HeadPlan, features, fold_head

Table = Iterator[tuple[str, list[Measurement]]]
"""Settings, and what they give."""
CHOICES: dict[str, dict[str, tuple[float, ...]]] = {
    "sounds": {
        "images": (0.0, 0.3, 0.6),
        "ridge": (0.2, 0.5, 1.0, 2.0),
        "center": (0.0, 1.0),
        "mixture": (0.0, 1.0, 2.0, 4.0),
        "decay": (0.001, 0.003, 0.01),
        "temperature": (1.0, 1.5, 2.0, 3.0),
    },
    "motions": {"images": (0.0, 0.3, 0.6), "ridge": (0.03, 0.1, 0.3, 1.0), "center": (0.0, 1.0)},
    "depth": {"ridge": (0.3, 1.0, 3.0), "center": (0.0, 0.5, 1.0), "share": (0.8, 0.9, 0.95)},
    "thermal": {"share": (0.7, 0.8, 0.9, 0.95)},
}
"""Part → setting → its values: images' weight beside names, of the head, and the layout's share."""
SHIPPED = {
    "sounds": {
        "images": WEIGHT,
        "ridge": sounds.PLAN.ridge or 0,
        "center": sounds.PLAN.center,
        "mixture": MixturePlan().weight,
        "decay": MixturePlan().decay,
        "temperature": sounds.TEMPERATURE,
    },
    "motions": {
        "images": WEIGHT,
        "ridge": validate_motions.PLAN.ridge or 0,
        "center": validate_motions.PLAN.center,
    },
    "depth": {"ridge": 1.0, "center": 0.5, "share": widen.MAP_SHARE},
    "thermal": {"share": widen.MAP_SHARE},
}
"""What ships, from which one setting at a time is varied."""


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name in ("data", "work"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    options = parser.parse_args()
    for part in options.parts:
        for setting, measured in PARTS[part](options.work, options.data):
            listed = "; ".join(f"{m.task}, {m.metric}: {m.value:.3f}" for m in measured)
            print(f"{part}, {setting}: {listed}", flush=True)


def vary(part: str) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield what ships, and what differs from it in one setting, each with its description."""
    yield "as shipped", SHIPPED[part]
    for setting, values in CHOICES[part].items():
        for value in values:
            if value != SHIPPED[part][setting]:
                yield f"{setting} {value:g}", {**SHIPPED[part], setting: value}


def choose_sounds(work: Path, data: Path) -> Table:
    """Yield what settings give on fold 3, learned on folds 1 and 2."""
    towers, learned = build.load_learned(work, data)
    found = sounds.read_recordings(data)
    names, class_N = sounds.labels_of(found)
    label_KE = torch.stack([learned.embedding[name] for name in names])
    clean, degraded = (
        sounds.audio_features(towers.audio, found, AUDIO_SETTINGS, work, worse)
        for worse in (False, True)
    )
    for changed, chosen in vary("sounds"):
        target_KE = make_targets(label_KE, learned.words_NE, learned.image_NE, chosen["images"])
        learn_head = partial(
            sounds.learn_audio_head,
            class_N=class_N,
            target_KE=target_KE,
            plan=read_sounds_plan(chosen),
            temperature=chosen["temperature"],
        )

        def learn(kept_N: Tensor, learn_head: Callable[..., AiSFX] = learn_head) -> Tensor:
            tower = learn_head(towers.audio, clean.of(kept_N), degraded.of(kept_N))
            return sounds.embed_recordings(tower, clean, len(found))

        measured = validate.measure_sounds(
            found, names, label_KE, class_N, learn, fold=validate.FOLD - 1
        )
        yield changed, measured


def read_sounds_plan(chosen: Mapping[str, float]) -> HeadPlan:
    """Return the plan of a head of sounds."""
    mixture = MixturePlan(weight=chosen["mixture"] or 1.0, decay=chosen["decay"])
    return replace(
        sounds.PLAN,
        ridge=chosen["ridge"],
        center=chosen["center"],
        mixture=mixture if chosen["mixture"] else None,
    )


def choose_motions(work: Path, data: Path) -> Table:
    """Yield what settings give for people of three folds, learned on these alone."""
    _, learned = build.load_learned(work, data)
    written = list(motions.add_changed(motions.read_recordings(work, data)))
    names = sorted({recording.name for recording in written})
    label_KE = torch.stack([learned.embedding[name] for name in names])
    words, windows_BCT = dict(zip(names, label_KE, strict=True)), motions.read_windows(written)
    for changed, chosen in vary("motions"):
        target_KE = make_targets(label_KE, learned.words_NE, learned.image_NE, chosen["images"])
        felt = validate_motions.Felt(
            recordings=written[:: 1 + motions.CHANGED],
            windows_BCT=windows_BCT,
            targets=dict(zip(names, target_KE, strict=True)),
        )
        plan = replace(validate_motions.PLAN, ridge=chosen["ridge"], center=chosen["center"])
        trial = validate_motions.Trial(folds=validate_motions.CHOOSING, others=(), plan=plan)
        measured = validate_motions.measure_people(felt, words, trial)
        measured += validate_motions.measure_new_activities(felt, words, trial)
        yield changed, measured


def choose_depth(work: Path, data: Path) -> Table:
    """Yield what settings give on half of the rooms with other furniture."""
    space = openbind.load(work / build.WIDE, dtype="float32")
    tower, rooms = space.towers["depth"], validate_maps.read_rooms(space, work, choosing=True)
    assert isinstance(tower, EfficientNetLiteMap)
    paths = [work / row["depth"] for row in read_lines(work / scenes.DEPTH)]
    everything = [*paths, *rooms.clean, *rooms.spoiled]
    known = dict(zip(everything, read_features(space, "depth", everything), strict=True))
    features_ND = torch.stack([known[path] for path in paths])
    target_NE = torch.from_numpy(np.load(work / scenes.DEPTH_VECTORS))
    target_NE = F.normalize(target_NE, dim=1)

    @torch.no_grad()
    def encode(maps: Sequence[Path]) -> validate_maps.Vectors:
        embed_NE = tower.head(torch.stack([known[path] for path in maps]))
        return np.asarray(F.normalize(embed_NE, dim=1))

    for changed, chosen in vary("depth"):
        plan = HeadPlan(standardize=True, ridge=chosen["ridge"], center=chosen["center"])
        fold_head(HeadNet(tower, plan, features_ND, target_NE), tower)
        widen.scale_layout(tower, features_ND[:: widen.EVERY_MAP], chosen["share"])
        yield changed, validate_maps.measure_rooms(rooms, encode)


def read_features(space: openbind.Space, modality: str, paths: Sequence[Path]) -> Tensor:
    """Compute what a frozen body sees in files."""
    found = []
    for start in range(0, len(paths), 32):
        clips = space.preprocess(modality, paths[start : start + 32])
        found.append(features(space.towers[modality], clips))
    return torch.cat(found)


def choose_thermal(work: Path, data: Path) -> Table:
    """Yield what shares of the layout give on half of the streets."""
    space = openbind.load(work / "runs" / "thermal-shipped", dtype="float32")
    vision, tower = space.towers["vision"], space.towers["thermal"]
    assert isinstance(vision, EfficientNetLite)
    assert isinstance(tower, EfficientNetLiteMap)
    widen.copy_layout(vision, tower)
    paths = [work / row["thermal"] for row in read_lines(work / scenes.THERMAL)]
    for changed, chosen in vary("thermal"):
        widen.weigh_layout(space, "thermal", paths[:: widen.EVERY_MAP], chosen["share"])
        yield changed, validate_maps.measure_streets(space, data, choosing=True)


PARTS = {
    "sounds": choose_sounds,
    "motions": choose_motions,
    "depth": choose_depth,
    "thermal": choose_thermal,
}

if __name__ == "__main__":
    main()
