"""Time series of sensors: tables with a sampling rate, missing values interpolated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from openbind.errors import InputError
from openbind.media.tables import Table, read_table

TIME_COLUMNS = {"t", "time", "times", "timestamp", "seconds"}
"""Names of a column of times in seconds."""


@dataclass(frozen=True)
class Series:
    """A time series.

    Args:
        values_TC: (steps, channels) float32, no values missing.
        rate_hz: steps per second.
    """

    values_TC: np.ndarray
    rate_hz: int


def read_series(item: Any, channels: int) -> Series:
    """Read a time series and its rate.

    Args:
        item: (values (steps, channels), rate in Hz), {"array", "sampling_rate"}, or any source of
            `read_table` with a column of times in seconds.
        channels: required number of columns besides times.

    Returns:
        the values; missing ones are interpolated linearly.

    Raises:
        InputError: another number of columns, no rate, times that don't increase, or a column
            without values.
    """
    source, rate = item, None
    if isinstance(item, Mapping):
        source, rate = item.get("array"), item.get("sampling_rate")
    elif isinstance(item, tuple) and len(item) == 2:
        source, rate = item
    values_TC, seconds_T = _split_times(read_table(source))
    if values_TC.shape[1] != channels:
        found = "×".join(map(str, values_TC.shape))
        raise InputError(item, f"expected (steps, {channels}) values, found {found}")
    if rate is None and seconds_T is None:
        raise InputError(item, "no rate: pass (values, rate in Hz), or add a column 'seconds'")
    if seconds_T is not None:
        rate = _rate_of(seconds_T, item)
    if not isinstance(rate, int | float | np.number) or not 1 <= float(rate) < 1e6:
        raise InputError(item, f"expected a rate of 1 Hz or more, found {rate!r}")
    return Series(_fill_gaps(values_TC, item), round(float(rate)))


def _split_times(table: Table) -> tuple[np.ndarray, np.ndarray | None]:
    """Split off the column of times, if the table has one."""
    names = [name.strip().lower() for name in table.columns or ()]
    column = next((i for i, name in enumerate(names) if name in TIME_COLUMNS), None)
    if column is None:
        return table.values_TC, None
    return np.delete(table.values_TC, column, axis=1), table.values_TC[:, column]


def _rate_of(seconds_T: np.ndarray, item: Any) -> float:
    steps = np.diff(seconds_T)
    if len(steps) < 1 or not np.isfinite(steps).all() or (steps <= 0).any():
        raise InputError(item, "expected two or more increasing times")
    return 1.0 / float(np.median(steps))


def _fill_gaps(values_TC: np.ndarray, item: Any) -> np.ndarray:
    """Interpolate missing values linearly; at the ends take the nearest value."""
    filled = np.array(values_TC, dtype=np.float32)
    is_finite_TC = np.isfinite(filled)
    if not is_finite_TC.any(axis=0).all():
        raise InputError(item, "a column has no values")
    steps = np.arange(len(filled))
    for axis in np.flatnonzero(~is_finite_TC.all(axis=0)):
        is_finite_T = is_finite_TC[:, axis]
        filled[:, axis] = np.interp(steps, steps[is_finite_T], filled[is_finite_T, axis])
    return filled
