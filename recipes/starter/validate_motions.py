"""Compute the card's numbers of IMU: on people, and on activities, that weren't trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import motions
import numpy as np
import torch
from motions import Recording, read_windows
from torch import Tensor
from torch.nn import functional as F
from validate import EARLIER, measure

import openbind
from openbind.model.backbones.motion_statistics import MotionStatistics
from openbind.space.card import Measurement
from openbind.training.heads import HeadNet, HeadPlan, fold_head

PLAN = HeadPlan(standardize=True, ridge=0.3, center=1.0)
"""As in `imu.yaml`, whose head is trained here on parts of the data."""
FOLDS = 5
"""Parts of the people."""
CHOOSING, REPORTED = (0, 1, 2), (3, 4)
"""Folds of people on which settings are chosen (`choose.py`), and whose numbers are reported."""
DRAWS, DRAWN, NEW_PEOPLE = 20, 5, 4
"""Draws of activities never felt, how many each draws, and people held out besides."""
SAME = {"stairs": ("walking upstairs", "walking downstairs"), "jogging": ("running",)}
"""Activities of other data sets that are much the same, and are held out together."""
WATCH = "wisdm_watch"
DATA = {
    "hapt_phone": "HAPT, phone at the waist",
    WATCH: "WISDM, watch",
    "wisdm_phone": "WISDM, phone in the pocket",
}
TESTED = {
    "Badminton": "a person playing badminton",
    "Running": "a person running",
    "Standing": "a person standing",
    "Walking": "a person walking",
}
"""Names of BasicMotions' activities."""


@dataclass(frozen=True, kw_only=True)
class Felt:
    """Recordings, and the windows of each and of its changed copies, in turn.

    Args:
        recordings: N, as they are.
        windows_BCT: B = N × (1 + `motions.CHANGED`).
        targets: name of an activity → the unit vector (E,) that its recordings are to become.
    """

    recordings: Sequence[Recording]
    windows_BCT: Tensor
    targets: Mapping[str, Tensor]


def measure_motions(
    space: openbind.Space,
    written: Sequence[Recording],
    targets: Mapping[str, Tensor],
    work: Path,
) -> list[Measurement]:
    """Return all numbers: of the shipped tower, and of towers trained on a part.

    Args:
        space: with the shipped tower.
        written: the recordings that it was trained on, each followed by its changed copies.
        targets: name of an activity → what its recordings were trained to be embedded as.
        work: the folder, with the unpacked packages.
    """
    names = sorted({recording.name for recording in written})
    words = dict(zip(names, torch.from_numpy(space.encode("text", names)), strict=True))
    felt = Felt(
        recordings=written[:: 1 + motions.CHANGED],
        windows_BCT=read_windows(written),
        targets=targets,
    )
    return [
        *measure_test_half(space, work),
        *measure_people(felt, words),
        *measure_new_activities(felt, words),
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


def fit(felt: Felt, kept_N: np.ndarray, plan: HeadPlan = PLAN) -> MotionStatistics:
    """Train a tower on some recordings and their changed copies.

    Args:
        felt: all recordings.
        kept_N: which of them to learn from.
        plan: of the head.
    """
    targets_NE = torch.stack([felt.targets[recording.name] for recording in felt.recordings])
    copies = 1 + motions.CHANGED
    kept_B = torch.from_numpy(kept_N).repeat_interleave(copies)
    windows_BCT = felt.windows_BCT[kept_B]
    tower = motions.start_motion_tower(windows_BCT, targets_NE.shape[1])
    with torch.no_grad():
        features_BD = tower.features(windows_BCT)
    targets_BE = targets_NE.repeat_interleave(copies, dim=0)[kept_B]
    fold_head(HeadNet(tower, plan, features_BD, targets_BE), tower)
    return tower


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Who is asked, and what was learned before.

    Args:
        folds: whose people are asked, each after training on the other ones and on `others`.
        others: further folds to learn from.
        plan: of the head.
    """

    folds: Sequence[int] = REPORTED
    others: Sequence[int] = CHOOSING
    plan: HeadPlan = PLAN


REPORT = Trial()
"""What the card reports."""


def people_of(felt: Felt, folds: Sequence[int]) -> list[set[str]]:
    """Return the people of some folds."""
    people = sorted({recording.person for recording in felt.recordings})
    order = np.random.default_rng(0).permutation(people).tolist()
    return [set(order[fold::FOLDS]) for fold in folds]


def measure_people(
    felt: Felt,
    words: Mapping[str, Tensor],
    trial: Trial = REPORT,
) -> list[Measurement]:
    """Name what people do who weren't trained on, by folds of people.

    Args:
        felt: all recordings.
        words: name of an activity → its embedding.
        trial: whose people are asked.
    """
    folds, others, plan = trial.folds, trial.others, trial.plan
    recordings = felt.recordings
    person_N = np.array([recording.person for recording in recordings])
    known_N = np.isin(person_N, list(set().union(*people_of(felt, [*folds, *others]))))
    asked_N = np.zeros(len(recordings), bool)
    vectors_NE = torch.zeros(len(recordings), len(next(iter(words.values()))))
    for people in people_of(felt, folds):
        out_N = np.isin(person_N, list(people))
        vectors_NE[out_N] = embed(fit(felt, known_N & ~out_N, plan), felt, out_N)
        asked_N |= out_N
    found = []
    for data, title in DATA.items():
        mine = [n for n, r in enumerate(recordings) if r.data == data and asked_N[n]]
        own = [recordings[n] for n in mine]
        names = sorted({recording.name for recording in own})
        right_N = is_right(vectors_NE[mine], own, names, words)
        count, people_count = len(names), len({recording.person for recording in own})
        about = f"{title}; {people_count} people who weren't trained on, in {len(folds)} folds; "
        about += f"settings were chosen on other people{EARLIER}"
        metric = f"accuracy, {count} activities"
        found.append(measure("imu → text", metric, right_N, 1 / count, about, ("imu", "text")))
    return found


def measure_new_activities(
    felt: Felt,
    words: Mapping[str, Tensor],
    trial: Trial = REPORT,
) -> list[Measurement]:
    """Name activities that weren't trained on, of people who weren't either.

    Args:
        felt, words: see `measure_people`.
        trial: whose people are drawn.
    """
    folds, others, plan = trial.folds, trial.others, trial.plan
    recordings = felt.recordings
    asked_people = set().union(*people_of(felt, folds))
    known = asked_people.union(*people_of(felt, others))
    rng, shares, count = np.random.default_rng(0), [], 0
    watch = [recording for recording in recordings if recording.data == WATCH]
    labels = sorted({recording.label for recording in watch})
    people = sorted({recording.person for recording in watch} & asked_people)
    for _ in range(DRAWS):
        drawn = list(rng.choice(labels, DRAWN, replace=False))
        new = set(rng.permutation(people)[:NEW_PEOPLE])
        out = {*drawn, *(same for label in drawn for same in SAME.get(label, ()))}
        kept_N = np.array([r.label not in out and r.person in known - new for r in recordings])
        asked_N = np.array(
            [r.data == WATCH and r.label in drawn and r.person in new for r in recordings]
        )
        asked = [r for r, is_asked in zip(recordings, asked_N, strict=True) if is_asked]
        count += len(asked)
        names = sorted({recording.name for recording in asked})
        vectors_NE = embed(fit(felt, kept_N, plan), felt, asked_N)
        shares.append(is_right(vectors_NE, asked, names, words).mean())
    value, error = float(np.mean(shares)), float(1.96 * np.std(shares) / DRAWS**0.5)
    about = f"WISDM, watch; {DRAWS} draws of {DRAWN} activities and {NEW_PEOPLE} people that "
    return [
        Measurement(
            task="imu → text, activities never felt, among themselves",
            metric=f"accuracy, {DRAWN} activities",
            value=value,
            chance=1 / DRAWN,
            data=f"{about}weren't trained on; settings were chosen on other people{EARLIER}",
            modalities=("imu", "text"),
            interval=(value - error, value + error),
            count=count,
            unseen=True,
        )
    ]


def embed(tower: MotionStatistics, felt: Felt, asked_N: np.ndarray) -> Tensor:
    """Return unit vectors (N, E) of some recordings, as they are."""
    own_NCT = felt.windows_BCT[:: 1 + motions.CHANGED]
    with torch.no_grad():
        return F.normalize(tower(own_NCT[torch.from_numpy(asked_N)]), dim=1)


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
