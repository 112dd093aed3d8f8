"""IMU: windows of an accelerometer and a gyroscope.

Input   (values, rate in Hz): values (T, 6), accelerometer x y z in m/s², gravity included, then
        gyroscope x y z in rad/s; an array, or the path or bytes of a CSV, .npy or .npz file. A
        file with a column of times needs no rate; named columns may be in any order, and are
        converted if their names state the unit. Or {"array", "sampling_rate"}, or {"accelerometer",
        "gyroscope"}: two files with times (`media/series.py`, `media/motion.py`).
Tensor  imu_BCT float32 (batch, 6, 2000), not normalized.
Window  UNRESOLVED in the sources: the paper has 5 s (2,000 steps at 400 Hz), IMU2CLIP by the
        same authors resamples to 200 Hz (10 s). `rate_hz` decides (spec 3.7).
Scale   5, the paper's temperature 0.2 (Table 9).
Source  order of the axes: Ego4D; zero-padding of short inputs: IMU2CLIP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from PIL import Image

from openbind.configs import Range
from openbind.media.drawing import draw_series
from openbind.media.motion import STANDARD_GRAVITY
from openbind.media.series import AXES, Series, exact_rate, read_series
from openbind.modalities.spec import ArraySample, Modality, Preprocess, PreprocessArrays, View
from openbind.signal import mel_arrays
from openbind.signal.clips import Clip, cover_clips, uniform_clips

Resample = Callable[[np.ndarray, int | Fraction, int], np.ndarray]
"""Motion (6, steps), from a rate, to a rate → (6, steps)."""


@dataclass(frozen=True, kw_only=True)
class ImuSettings:
    """Everything that decides the window of a tower's input.

    Args:
        steps: length of a window.
        rate_hz: sampling rate of a window: 2,000 steps are 10 s at 200 Hz, 5 s at 400 Hz.
        clips: "center" takes the middle of a longer input; "cover" as many windows as cover it.
        acceleration: unit of the first three columns where their names don't state it; "g" is
            converted to m/s².
        rotation: unit of the last three, likewise; degrees are converted to radians.
        edges: what a recording shorter than a window is continued with: "zeros", as in IMU2CLIP, or
            "mirror", itself backwards. With "mirror" it is also resampled around its mean, so that
            gravity doesn't begin and end at once.
    """

    steps: Annotated[int, Range(1, 1_000_000)] = 2_000
    rate_hz: Annotated[int, Range(1, 10_000)] = 200
    clips: Literal["center", "cover"] = "center"
    acceleration: Literal["m/s2", "g"] = "m/s2"
    rotation: Literal["rad/s", "deg/s"] = "rad/s"
    edges: Literal["zeros", "mirror"] = "zeros"


def prepare(settings: ImuSettings, folder: Path | None) -> Preprocess:
    """Return the function from a recording to its windows (clips, 6, steps)."""
    return lambda item: _windows(item, settings, _resample).to_sample()


def prepare_arrays(settings: ImuSettings, folder: Path | None) -> PreprocessArrays:
    """Return the function of `prepare` for NumPy arrays; unusual rates need PyTorch."""
    return lambda item: _windows(item, settings, _resample_arrays)


def _windows(item: Any, settings: ImuSettings, resample: Resample) -> ArraySample:
    series = read_series(item)
    motion_CT = series.values_TC.T * _factors(series, settings)
    is_centered = settings.edges == "mirror"
    center_C1 = motion_CT.mean(axis=1, keepdims=True) if is_centered else np.float32(0)
    motion_CT = resample(motion_CT - center_C1, exact_rate(series.rate_hz), settings.rate_hz)
    motion_CT = motion_CT + center_C1
    seconds = Fraction(motion_CT.shape[1], settings.rate_hz)
    window_seconds = Fraction(settings.steps, settings.rate_hz)
    if settings.clips == "cover":
        clips = cover_clips(seconds, window_seconds)
    else:
        clips = uniform_clips(seconds, window_seconds, 3)[1:2]
    times = tuple((float(start), float(min(end, seconds))) for start, end in clips)
    return ArraySample(np.stack([_cut(motion_CT, clip, settings) for clip in clips]), times)


def _resample(motion_CT: np.ndarray, from_hz: int | Fraction, to_hz: int) -> np.ndarray:
    import torch

    from openbind.signal.resample import resample

    return resample(torch.from_numpy(motion_CT), from_hz, to_hz).numpy()


def _resample_arrays(motion_CT: np.ndarray, from_hz: int | Fraction, to_hz: int) -> np.ndarray:
    if not mel_arrays.can_resample(from_hz, to_hz):
        return _resample(motion_CT, from_hz, to_hz)
    return np.stack([mel_arrays.resample(axis_T, from_hz, to_hz) for axis_T in motion_CT])


def apply_view(item: Any, view: View) -> Series:
    """Return an excerpt; box and flip are ignored.

    Raises:
        InputError: the item is unusable, or the span lies outside it.
    """
    return next(open_views(item, [view]))


def open_views(item: Any, views: Sequence[View]) -> Iterator[Series]:
    """Yield the excerpts of an item that is read once, as `apply_view`."""
    series = read_series(item)
    for view in views:
        first, end = view.steps(len(series.values_TC), series.rate_hz, item)
        yield replace(series, values_TC=series.values_TC[first:end])


def thumbnail(item: Any, size: tuple[int, int]) -> Image.Image:
    """Plot the accelerometer above the gyroscope.

    Raises:
        InputError: the item is unusable.
    """
    return draw_series(read_series(item).values_TC, size)


def duration(item: Any) -> float:
    """Return the seconds of a recording.

    Raises:
        InputError: the item is unusable.
    """
    series = read_series(item)
    return len(series.values_TC) / series.rate_hz


def clip_seconds(settings: ImuSettings) -> float:
    """Return the seconds of a window."""
    return settings.steps / settings.rate_hz


def _factors(series: Series, settings: ImuSettings) -> np.ndarray:
    """Return the factors of the six columns to m/s² and rad/s, (6, 1) float32."""
    factors = np.ones((AXES, 1), np.float32)
    if settings.acceleration == "g" and not series.is_si[0]:
        factors[:3] *= STANDARD_GRAVITY
    if settings.rotation == "deg/s" and not series.is_si[1]:
        factors[3:] *= np.pi / 180
    return factors


def _cut(motion_CT: np.ndarray, clip: Clip, settings: ImuSettings) -> np.ndarray:
    """Return a window, continued at its end as `settings.edges` says."""
    start = int(clip[0] * settings.rate_hz)
    window_CT = motion_CT[:, start : start + settings.steps]
    missing = settings.steps - window_CT.shape[1]
    if settings.edges == "zeros" or not missing:
        return np.pad(window_CT, ((0, 0), (0, missing)))
    there_and_back_CT = np.concatenate([window_CT, window_CT[:, ::-1]], axis=1)
    times = -(-settings.steps // there_and_back_CT.shape[1])
    return np.tile(there_and_back_CT, (1, times))[:, : settings.steps]


MODALITY = Modality(
    name="imu",
    accepts="(values (T, 6), rate in Hz): accelerometer in m/s², gyroscope in rad/s",
    settings=ImuSettings,
    prepare=prepare,
    prepare_arrays=prepare_arrays,
    clip_dims=2,
    has_clips=False,
    tower="imu",
    scale=5.0,
    version=2,
    apply_view=apply_view,
    open_views=open_views,
    thumbnail=thumbnail,
    duration=duration,
    clip_seconds=clip_seconds,
)
