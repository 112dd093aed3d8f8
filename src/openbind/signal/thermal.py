"""Thermal images: missing values, telemetry rows, and the range that is displayed.

8-bit images are already scaled and stay unchanged. So do others without outliers, whose range is
from their least to their greatest value.
"""

from __future__ import annotations

import numpy as np

SPREAD = (0.5, 99.5)
"""Percentiles of a scene. Values beyond them by more than their distance are outliers, such as
dead pixels; a warm object of 0.5% of the image is none."""
EDGE_ROWS = 4
"""Rows at the top and at the bottom in which cameras store telemetry (Lepton: 2 or 3)."""
LEAST_ROWS = 24
"""Images of fewer rows have no telemetry."""
TELEMETRY_FRACTION = 0.1
"""Fraction of outliers that makes an edge row telemetry."""
ABSOLUTE_ZERO = -459.67
"""In °F; lower floats are no temperature in any unit, but marks such as -9999."""
MARK_DISTANCE = 4.0
"""Distance of a mark of missing values from all others, in multiples of their range."""


def mark_missing(map_HW: np.ndarray) -> np.ndarray:
    """Replace marks of missing values by NaN.

    Marks are floats below absolute zero; and 0, -9999 and the limits of the integers' type, if
    they are far from all other values.

    Args:
        map_HW: counts or temperatures of any type.

    Returns:
        the map unchanged if it is of 8 bits or has no marks, else float32 with NaN.
    """
    if map_HW.dtype == np.uint8:
        return map_HW
    is_mark_HW = np.zeros(map_HW.shape, bool)
    marks = [0.0, -9999.0]
    if map_HW.dtype.kind == "f":
        is_mark_HW |= map_HW < ABSOLUTE_ZERO
    else:
        marks += [float(np.iinfo(map_HW.dtype).min), float(np.iinfo(map_HW.dtype).max)]
    for mark in marks:
        is_equal_HW = map_HW == mark
        others = map_HW[np.isfinite(map_HW) & ~is_equal_HW & ~is_mark_HW].astype(np.float64)
        if is_equal_HW.any() and others.size:
            low, high = np.percentile(others, SPREAD)
            distance = max(low - mark, mark - high)
            if 0 < MARK_DISTANCE * (high - low) < distance:
                is_mark_HW |= is_equal_HW
    if not is_mark_HW.any() or is_mark_HW.all():
        return map_HW
    return np.where(is_mark_HW, np.float32(np.nan), map_HW.astype(np.float32))


def replace_telemetry(map_HW: np.ndarray) -> np.ndarray:
    """Replace rows of telemetry at the top and at the bottom by the nearest row of the image."""
    height = len(map_HW)
    if map_HW.dtype == np.uint8 or height < LEAST_ROWS:
        return map_HW
    accepted = _accepted(map_HW[EDGE_ROWS:-EDGE_ROWS].astype(np.float64))
    if accepted is None:
        return map_HW
    is_outlier_HW = (map_HW < accepted[0]) | (map_HW > accepted[1])
    is_telemetry_H = is_outlier_HW.mean(axis=1) >= TELEMETRY_FRACTION
    is_telemetry_H[EDGE_ROWS:-EDGE_ROWS] = False
    if not is_telemetry_H.any():
        return map_HW
    rows = np.flatnonzero(~is_telemetry_H)
    nearest = np.abs(np.arange(height)[:, None] - rows).argmin(axis=1)
    return np.asarray(map_HW[rows[nearest]])


def display_range(values_HW: np.ndarray) -> tuple[float, float]:
    """Return the least and the greatest value without outliers.

    Args:
        values_HW: float64, at least one of them finite.
    """
    values = values_HW[np.isfinite(values_HW)]
    accepted = _accepted(values)
    if accepted is not None:
        values = values[(values >= accepted[0]) & (values <= accepted[1])]
    return float(values.min()), float(values.max())


def _accepted(values: np.ndarray) -> tuple[float, float] | None:
    """Return the limits beyond which values are outliers; None for a scene without contrast."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return None
    low, high = np.percentile(finite, SPREAD)
    return (2 * low - high, 2 * high - low) if high > low else None
