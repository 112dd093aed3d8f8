"""IMU: windows of an accelerometer and a gyroscope.

Input   (values, rate in Hz): values (T, 6), accelerometer x y z in m/s², gravity included, then
        gyroscope x y z in rad/s; an array, or the path or bytes of a CSV, .npy or .npz file. A
        file with a column of times in seconds needs no rate. {"array", "sampling_rate"} too.
Tensor  imu_BCT float32 (batch, 6, 2000), not normalised.
Window  UNRESOLVED in the sources: the paper says 5 s (then 2,000 steps are 400 Hz), its authors'
        own IMU2CLIP resamples to 200 Hz (then they are 10 s). `rate_hz` decides (spec 3.7).
Scale   5, the paper's temperature 0.2 (Table 9).
Source  order of the axes: Ego4D's own; zero-padding of short inputs: IMU2CLIP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F

from openbind.errors import InputError
from openbind.media.tables import Table, read_table
from openbind.modalities.spec import Modality, Preprocess, Sample
from openbind.signal.clips import Clip, cover_clips, uniform_clips
from openbind.signal.resample import resample

TIME_COLUMNS = {"t", "time", "times", "timestamp", "seconds"}
"""Names of a column that holds times in seconds."""
AXES = 6
STANDARD_GRAVITY = 9.80665


@dataclass(frozen=True, kw_only=True)
class ImuSettings:
    """What decides the window that a tower gets.

    Args:
        steps: of a window.
        rate_hz: of the window: 200 makes 2,000 steps last 10 s, 400 makes them last 5 s.
        clips: "center" takes the middle of a longer input, "cover" as many windows as cover it.
        acceleration: unit of the first three columns; "g" is brought to m/s².
        rotation: unit of the last three; degrees are brought to radians.
    """

    steps: int = 2_000
    rate_hz: int = 200
    clips: Literal["center", "cover"] = "center"
    acceleration: Literal["m/s2", "g"] = "m/s2"
    rotation: Literal["rad/s", "deg/s"] = "rad/s"


def prepare(settings: ImuSettings, folder: Path | None) -> Preprocess:
    """Return the function from a recording to its windows (clips, 6, steps)."""
    units = torch.ones(AXES, 1)
    units[:3] *= STANDARD_GRAVITY if settings.acceleration == "g" else 1.0
    units[3:] *= np.pi / 180 if settings.rotation == "deg/s" else 1.0
    window_seconds = Fraction(settings.steps, settings.rate_hz)

    def preprocess(item: Any) -> Sample:
        values_TC, rate_hz = read_motion(item)
        motion_CT = torch.from_numpy(values_TC.T.copy()) * units
        motion_CT = resample(motion_CT, rate_hz, settings.rate_hz)
        seconds = Fraction(motion_CT.shape[1], settings.rate_hz)
        if settings.clips == "cover":
            clips = cover_clips(seconds, window_seconds)
        else:
            clips = uniform_clips(seconds, window_seconds, 3)[1:2]
        windows = [_cut(motion_CT, clip, settings) for clip in clips]
        times = tuple((float(start), float(min(end, seconds))) for start, end in clips)
        return Sample(torch.stack(windows), times)

    return preprocess


def read_motion(item: Any) -> tuple[np.ndarray, int]:
    """Read a recording.

    Returns:
        values_TC (steps, 6) float32 without gaps, and the rate in Hz.

    Raises:
        InputError: not six columns, no rate, or gaps that can't be filled.
    """
    source, rate = item, None
    if isinstance(item, Mapping):
        source, rate = item.get("array"), item.get("sampling_rate")
    elif isinstance(item, tuple) and len(item) == 2:
        source, rate = item
    table = read_table(source)
    values_TC, seconds_T = _part_times(table, item)
    if values_TC.shape[1] != AXES:
        found = "×".join(map(str, values_TC.shape))
        raise InputError(item, f"expected (steps, {AXES}) values, found {found}")
    if rate is None and seconds_T is None:
        raise InputError(item, "no rate: hand in (values, rate in Hz), or a column 'seconds'")
    if seconds_T is not None:
        rate = _rate_of(seconds_T, item)
    if not isinstance(rate, int | float | np.number) or not 1 <= float(rate) < 1e6:
        raise InputError(item, f"expected a rate of 1 Hz or more, found {rate!r}")
    return _fill_gaps(values_TC, item), round(float(rate))


def _part_times(table: Table, item: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Take the column of times out, if the table has one."""
    names = [name.strip().lower() for name in table.columns or ()]
    at = next((i for i, name in enumerate(names) if name in TIME_COLUMNS), None)
    if at is None:
        return table.values_TC, None
    return np.delete(table.values_TC, at, axis=1), table.values_TC[:, at]


def _rate_of(seconds_T: np.ndarray, item: Any) -> float:
    steps = np.diff(seconds_T)
    if len(steps) < 1 or not np.isfinite(steps).all() or (steps <= 0).any():
        raise InputError(item, "its times must be two or more numbers that rise")
    return 1.0 / float(np.median(steps))


def _fill_gaps(values_TC: np.ndarray, item: Any) -> np.ndarray:
    """Draw straight lines over missing values; before the first and after the last they stay."""
    filled = np.array(values_TC, dtype=np.float32)
    good_TC = np.isfinite(filled)
    if not good_TC.any(axis=0).all():
        raise InputError(item, "an axis has no values at all")
    steps = np.arange(len(filled))
    for axis in np.flatnonzero(~good_TC.all(axis=0)):
        good_T = good_TC[:, axis]
        filled[:, axis] = np.interp(steps, steps[good_T], filled[good_T, axis])
    return filled


def _cut(motion_CT: torch.Tensor, clip: Clip, settings: ImuSettings) -> torch.Tensor:
    """Take a window; what is missing at its end is zero."""
    start = int(clip[0] * settings.rate_hz)
    window = motion_CT[:, start : start + settings.steps]
    return F.pad(window, (0, settings.steps - window.shape[1]))


MODALITY = Modality(
    name="imu",
    accepts="(values (T, 6), rate in Hz): accelerometer in m/s², gyroscope in rad/s",
    settings=ImuSettings,
    prepare=prepare,
    clip_dims=2,
    keeps_clips=False,
    tower="imu",
    scale=5.0,
)
