"""Write the pairs of `imu.yaml`: recordings of an accelerometer and a gyroscope with names.

WISDM (watch, and phone in a pocket, 20 Hz), HAPT (phone at the waist, 50 Hz) and BasicMotions'
training half (wrist, 10 Hz, without gravity). Each recording is written as it is and some times
changed: mounted otherwise, without gravity, at another rate, by a sensor of another gain.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from manifests import write_lines
from scipy.spatial.transform import Rotation

from openbind.modalities.imu import MODALITY, ImuSettings
from openbind.model.backbones.motion_statistics import (
    MotionStatistics,
    MotionStatisticsConfig,
    prepare_statistics,
)
from openbind.signal.resample import resample

SOURCE = Path("pypi/aeon/datasets/data/BasicMotions/BasicMotions_TRAIN.ts")
TEST = SOURCE.with_name("BasicMotions_TEST.ts")
MOTIONS, TARGETS = Path("motions/motions.jsonl"), Path("motions/targets.npy")
FOLDERS = ("wisdm_watch", "wisdm_phone", "hapt_phone")
SETTINGS = ImuSettings(steps=100, rate_hz=10, clips="cover", edges="mirror")
AXES, STEPS = 6, 100
CHANGED = 3
"""Changed copies of each recording."""
RATES_HZ = (Fraction(25, 2), Fraction(20), Fraction(25))
DOINGS = {"stairs": "climbing stairs", "badminton": "playing badminton"}
"""Labels that aren't what one would say a person is doing."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What a person did, as a sensor felt it.

    Args:
        data: name of the data set.
        label: of the activity.
        person: unique among all data sets; WISDM's people wore a watch and a phone.
        values_TC: (steps, 6) float32, m/s² and rad/s.
        rate_hz: of the steps.
    """

    data: str
    label: str
    person: str
    values_TC: np.ndarray
    rate_hz: Fraction

    @property
    def name(self) -> str:
        """What the person is doing, in words."""
        return f"a person {DOINGS.get(self.label, self.label)}"


def write_motions(work: Path, data: Path, targets: Mapping[str, torch.Tensor]) -> list[Recording]:
    """Write a CSV file per recording and copy, with times, the targets, and the manifest.

    Args:
        work: the folder, with the unpacked packages.
        data: holds `wisdm_watch`, `wisdm_phone` and `hapt_phone`.
        targets: name of what a person does → the vector (E,) to be embedded as.

    Returns:
        what was written.
    """
    recordings = list(add_changed(read_recordings(work, data)))
    names, lines = list(targets), []
    for number, recording in enumerate(recordings):
        path = Path(f"motions/{number:05}.csv")
        write_recording(work / path, recording)
        target = f"{TARGETS}#{names.index(recording.name)}"
        lines.append({"imu": path.as_posix(), "text.vector": target, "label": recording.label})
    np.save(work / TARGETS, torch.stack(list(targets.values())).numpy())
    write_lines(work / MOTIONS, lines)
    return recordings


def read_recordings(work: Path, data: Path) -> list[Recording]:
    """Read all recordings, in a fixed order."""
    found = read_students(work / SOURCE)
    for name in FOLDERS:
        arrays = np.load(data / name / "imu.npz")
        with (data / name / "items.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        found += [
            Recording(
                data=name,
                label=row["label"],
                person=f"{name.partition('_')[0]} {row['subject']}",
                values_TC=values_TC.astype(np.float32),
                rate_hz=Fraction(int(arrays["rate"])),
            )
            for row, values_TC in zip(rows, arrays["values"], strict=True)
        ]
    return found


def read_students(path: Path) -> list[Recording]:
    """Read the recordings of a half of BasicMotions, in its order."""
    return [
        Recording(
            data="basicmotions",
            label=label.lower(),
            person=f"student {number % 4}",
            values_TC=values_TC.astype(np.float32),
            rate_hz=Fraction(10),
        )
        for number, (label, values_TC) in enumerate(read_series(path))
    ]


def add_changed(recordings: Iterable[Recording], seed: int = 0) -> Iterator[Recording]:
    """Yield each recording and its changed copies."""
    rng = np.random.default_rng(seed)
    for recording in recordings:
        yield recording
        for _ in range(CHANGED):
            yield change(recording, rng)


def change(recording: Recording, rng: np.random.Generator) -> Recording:
    """Return a recording as another device would have made it.

    Half of them are mounted in any direction, two in five have no gravity (what is slower than
    0.3 Hz), and a third another rate.
    """
    values_TC = recording.values_TC
    acceleration_TC, rotation_TC = values_TC[:, :3], values_TC[:, 3:]
    if rng.random() < 0.4:
        acceleration_TC = acceleration_TC - _slow(acceleration_TC, float(recording.rate_hz))
    gain_of_acceleration, gain_of_rotation = np.exp(0.1 * rng.standard_normal(2))
    acceleration_TC = acceleration_TC * gain_of_acceleration
    rotation_TC = rotation_TC * gain_of_rotation
    if rng.random() < 0.5:
        turn = Rotation.random(rng=rng)
        acceleration_TC, rotation_TC = turn.apply(acceleration_TC), turn.apply(rotation_TC)
    changed_TC = np.hstack([acceleration_TC, rotation_TC])
    changed_TC += rng.standard_normal(changed_TC.shape) * ([0.02] * 3 + [0.005] * 3)
    rate_hz = recording.rate_hz
    if rate_hz > 10 and rng.random() < 1 / 3:
        rate_hz = RATES_HZ[rng.integers(len(RATES_HZ))]
        changed_TC = _at_rate(changed_TC, recording.rate_hz, rate_hz)
    return replace(recording, values_TC=changed_TC.astype(np.float32), rate_hz=rate_hz)


def start_motion_tower(windows_BCT: torch.Tensor, embed_dim: int) -> MotionStatistics:
    """Build a tower whose statistics are standardized over windows, with a zero head."""
    tower = MotionStatistics(MotionStatisticsConfig(embed_dim=embed_dim))
    prepare_statistics(tower, windows_BCT)
    torch.nn.init.zeros_(tower.head.weight)
    torch.nn.init.zeros_(tower.head.bias)
    return tower.eval()


def read_windows(recordings: Iterable[Recording]) -> torch.Tensor:
    """Return windows_BCT, the first of each recording, as the tower gets them."""
    preprocess = MODALITY.prepare(SETTINGS, None)
    return torch.stack([preprocess((r.values_TC, float(r.rate_hz))).clips[0] for r in recordings])


def read_series(path: Path) -> list[tuple[str, np.ndarray]]:
    """Read (activity, values (steps, 6)) from each line of a .ts file of the UEA archive.

    Raises:
        ValueError: a recording of another shape.
    """
    _, _, data = path.read_text(encoding="utf-8").partition("@data")
    found = []
    for line in data.split():
        *axes, label = line.split(":")
        values_TC = np.array([[float(v) for v in axis.split(",")] for axis in axes]).T
        if values_TC.shape != (STEPS, AXES):
            raise ValueError(f"{path}: expected {(STEPS, AXES)}, found {values_TC.shape}")
        found.append((label, values_TC))
    return found


def write_recording(path: Path, recording: Recording) -> None:
    """Write a CSV file of times in seconds, accelerations and angular velocities."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = "time,accel_x,accel_y,accel_z,gyro_x,gyro_y,gyro_z"
    times_T1 = np.arange(len(recording.values_TC))[:, None] / float(recording.rate_hz)
    table = np.hstack([times_T1, recording.values_TC])
    np.savetxt(path, table, fmt="%.6g", delimiter=",", header=head, comments="")


def _slow(values_TC: np.ndarray, rate_hz: float, limit_hz: float = 0.3) -> np.ndarray:
    """Return what is slower than a limit; the signal continues mirrored at its ends."""
    steps = len(values_TC)
    mirrored_TC = np.concatenate([values_TC[::-1], values_TC, values_TC[::-1]])
    hz_F1 = np.fft.rfftfreq(3 * steps, 1 / rate_hz)[:, None]
    gain_F1 = 1 / (1 + (hz_F1 / limit_hz) ** 4)
    slow_TC = np.fft.irfft(np.fft.rfft(mirrored_TC, axis=0) * gain_F1, 3 * steps, axis=0)
    return np.asarray(slow_TC[steps : 2 * steps])


def _at_rate(values_TC: np.ndarray, from_hz: Fraction, to_hz: Fraction) -> np.ndarray:
    """Resample around the mean."""
    center_C = values_TC.mean(axis=0)
    centered_CT = torch.from_numpy((values_TC - center_C).T.copy())
    whole = to_hz.denominator
    resampled_CT = resample(centered_CT, from_hz * whole, int(to_hz * whole))
    return np.asarray(resampled_CT.numpy().T + center_C)
