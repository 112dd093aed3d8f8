"""Measurements of a sensor over time: tables with a rate, their gaps filled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from openbind.errors import InputError
from openbind.media.tables import Table, read_table

TIME_COLUMNS = {"t", "time", "times", "timestamp", "seconds"}
"""Names of a column that holds times in seconds."""


@dataclass(frozen=True)
class Series:
    """What a sensor measured.

    Args:
        values_TC: (steps, channels) float32 without gaps.
        rate_hz: steps a second.
    """

    values_TC: np.ndarray
    rate_hz: int


def read_series(item: Any, channels: int) -> Series:
    """Read measurements and their rate.

    Args:
        item: (values (steps, channels), rate in Hz), {"array", "sampling_rate"}, or what
            `read_table` takes if it has a column of times in seconds.
        channels: how many columns there must be besides that.

    Returns:
        the values; over missing ones straight lines are drawn.

    Raises:
        InputError: another number of columns, no rate, times that don't rise, or a column
            without any value.
    """
    source, rate = item, None
    if isinstance(item, Mapping):
        source, rate = item.get("array"), item.get("sampling_rate")
    elif isinstance(item, tuple) and len(item) == 2:
        source, rate = item
    values_TC, seconds_T = _part_times(read_table(source))
    if values_TC.shape[1] != channels:
        found = "×".join(map(str, values_TC.shape))
        raise InputError(item, f"expected (steps, {channels}) values, found {found}")
    if rate is None and seconds_T is None:
        raise InputError(item, "no rate: hand in (values, rate in Hz), or a column 'seconds'")
    if seconds_T is not None:
        rate = _rate_of(seconds_T, item)
    if not isinstance(rate, int | float | np.number) or not 1 <= float(rate) < 1e6:
        raise InputError(item, f"expected a rate of 1 Hz or more, found {rate!r}")
    return Series(_fill_gaps(values_TC, item), round(float(rate)))


def _part_times(table: Table) -> tuple[np.ndarray, np.ndarray | None]:
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
    """Draw straight lines over missing values; at either end the nearest value stands."""
    filled = np.array(values_TC, dtype=np.float32)
    good_TC = np.isfinite(filled)
    if not good_TC.any(axis=0).all():
        raise InputError(item, "an axis has no values at all")
    steps = np.arange(len(filled))
    for axis in np.flatnonzero(~good_TC.all(axis=0)):
        good_T = good_TC[:, axis]
        filled[:, axis] = np.interp(steps, steps[good_T], filled[good_T, axis])
    return filled
