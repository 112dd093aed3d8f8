"""Motion recordings: tables → accelerometer and gyroscope at an even sampling rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from openbind.errors import InputError
from openbind.media.arrays import is_array
from openbind.media.motion import SECONDS, Layout, Quantity, read_layout
from openbind.media.tables import Table, read_table

AXES = 6
LARGEST = 1e9
"""Larger measurements are no motion, and overflow later."""
LEAST_HZ = 1.0
SLOWEST_HZ = 2.0
"""Lowest rate that times may have: below it they are sample numbers or in another unit."""
PLAUSIBLE_STEPS = (1.25, 500.0)
"""Range of the mean step of times in ms, µs or ns that name no unit: 2 to 800 Hz."""
EPOCH_SECONDS = (9.4e8, 4.2e9)
"""Times since 1970 of recordings between 2000 and 2100."""
MOST_STEPS = 1 << 20
"""Interpolated steps of a recording with few measurements; others get at most 4 a measurement."""
JITTER = 0.25
"""Deviation from an even grid, in steps, up to which times count as even."""


@dataclass(frozen=True)
class Series:
    """A recording at an even rate.

    Args:
        values_TC: (steps, 6) float32: accelerometer x y z, gyroscope x y z; no values missing.
        rate_hz: steps per second.
        is_si: whether the accelerometer is known to be in m/s², and the gyroscope in rad/s.
    """

    values_TC: np.ndarray
    rate_hz: float
    is_si: tuple[bool, bool] = (False, False)


@dataclass(frozen=True)
class _Recording:
    """Columns of a table, in order of `Series`, with their times and names if it has any."""

    values_TC: np.ndarray
    seconds_T: np.ndarray | None = None
    is_si: tuple[bool, bool] = (False, False)
    columns: tuple[str, ...] = ()


def read_series(item: Any) -> Series:
    """Read a motion recording.

    Args:
        item: a table (any source of `read_table`) of 6 columns and one of times; or, with the
            rate in Hz instead of times, (table, rate) or {"array": table, "sampling_rate"}; or
            {"accelerometer": table, "gyroscope": table}, which are joined by their times; or a
            `Series`, returned unchanged.

    Returns:
        the columns by their names, or in their order if they have none, in SI units where the
        names state the unit. Uneven times are interpolated linearly onto an even grid: a gap
        becomes a straight line, which is no motion. Missing values are interpolated too.

    Raises:
        InputError: columns or units that aren't known, no rate, times that decrease or of an
            unknown unit, or values that can't be motion.
    """
    if isinstance(item, Series):
        return item
    if isinstance(item, Mapping) and "array" not in item:
        return _join(item)
    source, rate = item, None
    if isinstance(item, Mapping):
        source, rate = item["array"], item.get("sampling_rate")
    elif isinstance(item, tuple) and len(item) == 2:
        source, rate = item
    recording = _read(source, item, timed=rate is None)
    if recording.values_TC.shape[1] == 3 and recording.columns:
        found = ", ".join(recording.columns)
        reason = f"has columns of one sensor only ({found}), expected an accelerometer and a "
        files = "gyroscope; pass {'accelerometer': file, 'gyroscope': file} to join two files"
        raise InputError(item, reason + files)
    if recording.values_TC.shape[1] != AXES:
        found = "×".join(map(str, recording.values_TC.shape))
        raise InputError(item, f"expected (steps, {AXES}) values, found {found}")
    if recording.seconds_T is not None:
        return _even(recording.seconds_T, recording.values_TC, recording.is_si, item)
    if rate is None:
        reason = "no rate: pass (values, rate in Hz), or add a column 'seconds' or 'timestamp_ms'"
        raise InputError(item, reason)
    if not isinstance(rate, int | float | np.number) or not LEAST_HZ <= float(rate) < 1e6:
        raise InputError(item, f"expected a rate of 1 Hz or more, found {rate!r}")
    steps_T = np.arange(len(recording.values_TC), dtype=np.float64)
    filled_TC = _interpolate(steps_T, steps_T, recording.values_TC, item)
    return Series(filled_TC, float(rate), recording.is_si)


def exact_rate(rate_hz: float) -> Fraction:
    """Return a rate as a fraction of small integers, as resampling needs it."""
    return Fraction(rate_hz).limit_denominator(1_000)


def duration_of(source: Any) -> float | None:
    """Return the seconds between a table's first and last time; None if it has no times.

    Raises:
        InputError: the table is unusable, or the unit of its times isn't known.
    """
    seconds_T = _read(source, source, timed=True, motion=False).seconds_T
    return None if seconds_T is None else float(np.ptp(seconds_T))


def _read(source: Any, item: Any, timed: bool, motion: bool = True) -> _Recording:
    """Read a table's sensors; `timed` reads its times, too, whose unit must be known."""
    if is_array(source):
        return _Recording(read_table(source).values_TC)
    layouts: list[Layout] = []

    def choose(names: tuple[str, ...]) -> list[int]:
        layout = read_layout(names, item)
        if not timed:
            layout = replace(layout, time=None)
        if motion and not layout.columns:
            found = ", ".join(names[:12])
            reason = "expected columns such as accel_x, accel_y, accel_z, gyro_x, gyro_y, gyro_z"
            raise InputError(item, f"{reason}, found {found}")
        layouts.append(layout)
        return layout.used

    table = read_table(source, choose)
    if not layouts:
        return _Recording(table.values_TC)
    return _arrange(table, layouts[0], item)


def _arrange(table: Table, layout: Layout, item: Any) -> _Recording:
    """Put a table's columns into the order of `Series`, in SI units where they are stated."""
    places = {column: place for place, column in enumerate(layout.used)}
    names = table.columns or ()
    parts = [np.empty((len(table.values_TC), 0))]
    for quantity, rows in layout.columns.items():
        total_TC = sum(table.values_TC[:, [places[column] for column in row]] for row in rows)
        parts.append(np.asarray(total_TC) * (layout.factors[quantity] or 1.0))
    known: list[Quantity] = ["acceleration", "rotation"]
    is_si = tuple(layout.factors.get(quantity) is not None for quantity in known)
    seconds_T = None
    if layout.time is not None:
        times_T = table.values_TC[:, places[layout.time]].astype(np.float64)
        name = names[places[layout.time]]
        unit = "s" if name in table.dates else layout.time_unit
        seconds_T = _to_seconds(times_T, unit, name, item)
    return _Recording(np.concatenate(parts, axis=1), seconds_T, (is_si[0], is_si[1]), names)


def _to_seconds(times_T: np.ndarray, unit: str | None, name: str, item: Any) -> np.ndarray:
    """Convert times to seconds, from the unit that is stated, or else the plausible one."""
    steps = np.diff(times_T)
    if len(steps) < 1 or not np.isfinite(times_T).all() or (steps < 0).any() or not steps.any():
        raise InputError(item, f"column {name!r}: expected two or more increasing times")
    unit = unit or _plausible_unit(times_T, steps)
    mean_step = float(steps.mean())
    if unit is not None:
        shorter = min(mean_step, float(np.median(steps)) or mean_step)
        if shorter * SECONDS[unit] <= 1 / SLOWEST_HZ:
            return times_T * SECONDS[unit]
    raise InputError(
        item,
        f"column {name!r}: steps of {mean_step:g} on average are no times of a motion recording "
        "in a known unit; name the column 'seconds', 'timestamp_ms', 'timestamp_us' or "
        "'timestamp_ns', or pass (values, rate in Hz)",
    )


def _plausible_unit(times_T: np.ndarray, steps: np.ndarray) -> str | None:
    """Return the unit in which times are a date, or a sampling rate that sensors have."""
    mean_step = float(steps.mean())
    for unit, seconds in SECONDS.items():
        is_date = EPOCH_SECONDS[0] <= times_T[0] * seconds <= EPOCH_SECONDS[1]
        if is_date and mean_step * seconds <= 1 / SLOWEST_HZ:
            return unit
    if (steps == 1).all():
        # Sample numbers, or 1,000 Hz in milliseconds.
        return None
    for step in (mean_step, float(np.median(steps))):
        if 0 < step <= 1 / SLOWEST_HZ:
            return "s"
        for unit, scale in (("ms", 1.0), ("us", 1e3), ("ns", 1e6)):
            if PLAUSIBLE_STEPS[0] * scale <= step <= PLAUSIBLE_STEPS[1] * scale:
                return unit
    return None


def _even(
    seconds_T: np.ndarray, values_TC: np.ndarray, is_si: tuple[bool, bool], item: Any
) -> Series:
    """Return measurements at an even rate, interpolated where their times are uneven."""
    seconds_T, values_TC = _merge_equal(seconds_T - seconds_T[0], values_TC)
    count, total = len(seconds_T), float(seconds_T[-1])
    mean_rate = (count - 1) / total
    offsets = np.abs(seconds_T * mean_rate - np.arange(count))
    simple = _simplest(mean_rate, JITTER / (count - 1))
    if offsets.max() <= JITTER and simple is not None:
        return Series(_interpolate(seconds_T, seconds_T, values_TC, item), simple, is_si)
    # The finest step that is common, within bounds for recordings with long gaps.
    rate = min(1 / float(np.median(np.diff(seconds_T))), max(4 * count, MOST_STEPS) / total)
    rate = float(max(round(rate), 1)) if rate >= 10 else rate
    grid_T = np.arange(int(total * rate) + 1) / rate
    return Series(_interpolate(grid_T, seconds_T, values_TC, item), rate, is_si)


def _merge_equal(seconds_T: np.ndarray, values_TC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keep the last of the measurements with one time."""
    is_last_T = np.append(np.diff(seconds_T) > 0, True)
    return seconds_T[is_last_T], values_TC[is_last_T]


def _simplest(rate: float, tolerance: float) -> float | None:
    """Return the rate with the smallest denominator within a relative tolerance."""
    for denominator in range(1, 101):
        numerator = round(rate * denominator)
        if abs(numerator / denominator / rate - 1) <= min(tolerance, 1e-3):
            return numerator / denominator
    return None


def _interpolate(
    grid_T: np.ndarray, seconds_T: np.ndarray, values_TC: np.ndarray, item: Any
) -> np.ndarray:
    """Interpolate linearly between the finite values; at the ends take the nearest one."""
    is_finite_TC = np.isfinite(values_TC)
    if not is_finite_TC.any(axis=0).all():
        raise InputError(item, "a column has no values")
    largest = float(np.abs(values_TC[is_finite_TC]).max())
    if largest > LARGEST:
        raise InputError(item, f"values of up to {largest:.3g} are no motion")
    if grid_T is seconds_T and is_finite_TC.all():
        return np.array(values_TC, dtype=np.float32)
    filled_TC = np.empty((len(grid_T), values_TC.shape[1]), np.float32)
    for axis in range(values_TC.shape[1]):
        is_finite_T = is_finite_TC[:, axis]
        filled_TC[:, axis] = np.interp(grid_T, seconds_T[is_finite_T], values_TC[is_finite_T, axis])
    return filled_TC


def _join(item: Mapping[str, Any]) -> Series:
    """Join an accelerometer and a gyroscope by their times, over what both have recorded."""
    if set(item) != {"accelerometer", "gyroscope"}:
        found = ", ".join(map(str, item)) or "none"
        reason = "expected the keys 'array' and 'sampling_rate', or 'accelerometer' and 'gyroscope'"
        raise InputError(item, f"{reason}, found {found}")
    parts = [_read(item[name], item, timed=True) for name in ("accelerometer", "gyroscope")]
    clocks = [part.seconds_T for part in parts if part.seconds_T is not None]
    if len(clocks) < 2 or any(part.values_TC.shape[1] != 3 for part in parts):
        raise InputError(item, "expected tables of x, y, z and a column of times, for each sensor")
    first = max(float(seconds_T[0]) for seconds_T in clocks)
    last = min(float(seconds_T[-1]) for seconds_T in clocks)
    grid_T = clocks[0][(clocks[0] >= first) & (clocks[0] <= last)]
    if len(grid_T) < 2:
        raise InputError(item, "the sensors weren't recorded at the same time")
    pairs = zip(clocks, parts, strict=True)
    joined = [_interpolate(grid_T, seconds_T, part.values_TC, item) for seconds_T, part in pairs]
    is_si = (any(parts[0].is_si), any(parts[1].is_si))
    return _even(grid_T, np.concatenate(joined, axis=1), is_si, item)
