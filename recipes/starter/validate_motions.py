"""Compute the card's numbers of IMU: on people, and on activities, that weren't trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import motions
import numpy as np
import torch
from motions import Recording
from torch import Tensor
from torch.nn import functional as F
from validate import measure

import openbind
from openbind.model.backbones.motion_statistics import MotionStatistics
from openbind.space.card import Measurement
from openbind.training.heads import HeadNet, HeadPlan, fold_head

PLAN = HeadPlan(standardize=True, ridge=0.3, center=1.0)
"""As in `imu.yaml`, whose head is trained here on parts of the data."""
FOLDS = 5
DRAWS, DRAWN, NEW_PEOPLE = 20, 5, 8
"""Draws of activities never felt, how many each draws, and people held out besides."""
SAME = {"stairs": ("walking upstairs", "walking downstairs"), "jogging": ("running",)}
"""Activities of other data sets that are much the same, and are held out together."""
DATA = {
    "hapt_phone": "HAPT, phone at the waist",
    "wisdm_watch": "WISDM, watch",
    "wisdm_phone": "WISDM, phone in the pocket",
}
TESTED = {
    "Badminton": "a person playing badminton",
    "Running": "a person running",
    "Standing": "a person standing",
    "Walking": "a person walking",
}
"""Names of BasicMotions' activities."""


def measure_motions(
    space: openbind.Space, recordings: Sequence[Recording], work: Path
) -> list[Measurement]:
    """Return all numbers: of the shipped tower, and of towers trained on a part.

    Args:
        space: with the shipped tower.
        recordings: that it was trained on.
        work: the folder, with the unpacked packages.
    """
    names = sorted({recording.name for recording in recordings})
    words = dict(zip(names, torch.from_numpy(space.encode("text", names)), strict=True))
    return [
        *measure_test_half(space, work),
        *measure_people(recordings, words),
        *measure_new_activities(recordings, words),
    ]


def measure_test_half(space: openbind.Space, work: Path) -> list[Measurement]:
    """Name BasicMotions' test recordings."""
    tested = motions.read_series(work / motions.TEST)
    names = sorted(TESTED)
    words_KE = space.encode("text", [TESTED[name] for name in names])
    vectors_NE = space.encode("imu", [(values_TC, 10) for _, values_TC in tested])
    own_N = np.array([names.index(label) for label, _ in tested])
    right_N = (vectors_NE @ words_KE.T).argmax(1) == own_N
    data = "BasicMotions test half; the same four students, never trained on"
    return [measure("imu → text", "accuracy", right_N, 1 / len(names), data, ("imu", "text"))]


def fit(recordings: Sequence[Recording], words: Mapping[str, Tensor]) -> MotionStatistics:
    """Train a tower on recordings and their changed copies.

    Args:
        recordings: to learn from.
        words: name of an activity → its unit embedding (E,).
    """
    used = list(motions.add_changed(recordings))
    targets_NE = torch.stack([words[recording.name] for recording in used])
    tower = motions.start_motion_tower(used, targets_NE.shape[1])
    with torch.no_grad():
        features_ND = tower.features(motions.read_windows(used))
    fold_head(HeadNet(tower, PLAN, features_ND, targets_NE), tower)
    return tower


def measure_people(
    recordings: Sequence[Recording], words: Mapping[str, Tensor]
) -> list[Measurement]:
    """Name what people do who weren't trained on: five folds of people."""
    people = sorted({recording.person for recording in recordings})
    order = np.random.default_rng(0).permutation(people).tolist()
    vectors_NE = torch.zeros(len(recordings), len(next(iter(words.values()))))
    for fold in range(FOLDS):
        out = [recording.person in order[fold::FOLDS] for recording in recordings]
        tower = fit([r for r, held in zip(recordings, out, strict=True) if not held], words)
        held = [n for n, is_held in enumerate(out) if is_held]
        vectors_NE[held] = embed(tower, [recordings[n] for n in held])
    found = []
    for data, title in DATA.items():
        mine = [n for n, recording in enumerate(recordings) if recording.data == data]
        own = [recordings[n] for n in mine]
        names = sorted({recording.name for recording in own})
        right_N = is_right(vectors_NE[mine], own, names, words)
        count, people_count = len(names), len({recording.person for recording in own})
        about = f"{title}; people never trained on: five folds of {people_count} people, "
        about += "on which settings were chosen"
        metric = f"accuracy, {count} activities"
        found.append(measure("imu → text", metric, right_N, 1 / count, about, ("imu", "text")))
    return found


def measure_new_activities(
    recordings: Sequence[Recording], words: Mapping[str, Tensor]
) -> list[Measurement]:
    """Name activities that weren't trained on, of people who weren't either."""
    rng, shares = np.random.default_rng(0), []
    watch = [recording for recording in recordings if recording.data == "wisdm_watch"]
    labels, people = (sorted({getattr(r, key) for r in watch}) for key in ("label", "person"))
    for _ in range(DRAWS):
        drawn = list(rng.choice(labels, DRAWN, replace=False))
        new = set(rng.permutation(people)[:NEW_PEOPLE])
        out = {*drawn, *(same for label in drawn for same in SAME.get(label, ()))}
        tower = fit([r for r in recordings if r.label not in out and r.person not in new], words)
        asked = [r for r in watch if r.label in drawn and r.person in new]
        names = sorted({recording.name for recording in asked})
        shares.append(is_right(embed(tower, asked), asked, names, words).mean())
    value, error = float(np.mean(shares)), float(1.96 * np.std(shares) / DRAWS**0.5)
    about = f"WISDM, watch; {DRAWS} draws of {DRAWN} activities and {NEW_PEOPLE} people that "
    return [
        Measurement(
            task="imu → text, activities never felt, among themselves",
            metric=f"accuracy, {DRAWN} activities",
            value=value,
            chance=1 / DRAWN,
            data=f"{about}weren't trained on",
            modalities=("imu", "text"),
            interval=(value - error, value + error),
        )
    ]


def embed(tower: MotionStatistics, recordings: Sequence[Recording]) -> Tensor:
    """Return unit vectors (N, E) of recordings."""
    with torch.no_grad():
        return F.normalize(tower(motions.read_windows(recordings)), dim=1)


def is_right(
    vectors_NE: Tensor,
    recordings: Sequence[Recording],
    names: Sequence[str],
    words: Mapping[str, Tensor],
) -> np.ndarray:
    """Return which recordings are nearest to their own name."""
    names_LE = torch.stack([words[name] for name in names])
    nearest_N = (vectors_NE @ names_LE.T).argmax(dim=1)
    return np.array([names[k] == r.name for k, r in zip(nearest_N, recordings, strict=True)])
