"""Columns of motion recordings are found by their names, whatever exported them."""

from __future__ import annotations

import numpy as np
import pytest

from openbind.errors import InputError
from openbind.media.motion import STANDARD_GRAVITY, UNITS, read_layout

G = STANDARD_GRAVITY
DEGREE = np.pi / 180


def names(*patterns: str) -> list[str]:
    """Replace * by x, y and z."""
    return [p.replace("*", axis) for p in patterns for axis in ("xyz" if "*" in p else "-")]


@pytest.mark.parametrize(
    ("columns", "time", "acceleration", "rotation", "factors"),
    [
        (names("time", "accel_*", "gyro_*"), (0, None), (1, 2, 3), (4, 5, 6), (None, None)),
        (names("canonical_timestamp_ms", "gyro_*", "accl_*"), (0, "ms"), (4, 5, 6), (1, 2, 3), ()),
        (
            ["time", "seconds_elapsed", "accel_z", "accel_y", "accel_x", "gz", "gy", "gx"],
            (1, "s"),
            (4, 3, 2),
            (7, 6, 5),
            (None, None),
        ),
        (["seconds", "z", "y", "x", "z", "y", "x"], (0, "s"), (3, 2, 1), (6, 5, 4), ()),
        (["seconds", "a", "b", "c", "d", "e", "f"], (0, "s"), (1, 2, 3), (4, 5, 6), ()),
        (
            names("Time (s)", "Acceleration * (m/s^2)", "Absolute acceleration (m/s^2)")
            + names("Gyroscope * (rad/s)"),
            (0, "s"),
            (1, 2, 3),
            (5, 6, 7),
            (1.0, 1.0),
        ),
        (
            names("ACCELEROMETER * (m/s²)", "GRAVITY * (m/s²)", "LINEAR ACCELERATION * (m/s²)")
            + names("GYROSCOPE * (rad/s)", "MAGNETIC FIELD * (μT)", "Time since start in ms "),
            (15, "ms"),
            (0, 1, 2),
            (9, 10, 11),
            (1.0, 1.0),
        ),
        (
            names("loggingTime(txt)", "accelerometerTimestamp_sinceReboot(s)")
            + names("accelerometerAcceleration*(G)", "gyroRotation*(rad/s)", "motionYaw(rad)"),
            (1, "s"),
            (2, 3, 4),
            (5, 6, 7),
            (G, 1.0),
        ),
        (
            names("t_us", "acc_*_g", "gyro_*_dps"),
            (0, "us"),
            (1, 2, 3),
            (4, 5, 6),
            (G, DEGREE),
        ),
        (
            names("timestamp_ns", "accel_*_m_s2", "gyro_*_rad_s"),
            (0, "ns"),
            (1, 2, 3),
            (4, 5, 6),
            (1.0, 1.0),
        ),
        (
            names("time", "gF*", "a*", "w*"),
            (0, None),
            (1, 2, 3),
            (7, 8, 9),
            (G, None),
        ),
        (
            names("Acc * [mg]", "Gyro * [°/s]"),
            (None, None),
            (0, 1, 2),
            (3, 4, 5),
            (G / 1e3, DEGREE),
        ),
    ],
)
def test_exporters(
    columns: list[str],
    time: tuple[int | None, str | None],
    acceleration: tuple[int, ...],
    rotation: tuple[int, ...],
    factors: tuple[float | None, ...],
) -> None:
    """Names of data sets, phones' apps and loggers, with their units, in any order."""
    layout = read_layout(columns, "table")
    assert (layout.time, layout.time_unit) == time
    assert layout.columns == {"acceleration": (acceleration,), "rotation": (rotation,)}
    if factors:
        assert layout.factors == {"acceleration": factors[0], "rotation": factors[1]}
    assert {*acceleration, *rotation} <= {*layout.used}


def test_gravity_is_added() -> None:
    """Where the accelerometer is split into the user's part and gravity, both are read (in g)."""
    layout = read_layout(names("rotationRate.*", "gravity.*", "userAcceleration.*"), "table")
    assert layout.columns["acceleration"] == ((6, 7, 8), (3, 4, 5))
    assert layout.factors["acceleration"] == G


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (names("left_acc_*", "right_acc_*", "gyro_*"), "two columns for one axis"),
        (names("acc_* (furlongs)", "gyro_*"), "unknown unit.*m/s2"),
        (["ax (g)", "ay (m/s2)", "az (g)", "gx", "gy", "gz"], "one unit for all"),
        (names("acc_* (deg/s)", "gyro_*"), "one unit for all"),
    ],
)
def test_contradictions(columns: list[str], message: str) -> None:
    """Names that contradict each other are refused, and named."""
    with pytest.raises(InputError, match=message):
        read_layout(columns, "table")


def test_other_columns_are_none() -> None:
    """Sample numbers, zones, magnetometers and angles are neither times nor sensors."""
    layout = read_layout(["sample", "index", "time_zone", "mag_x", "roll", "steps", "max"], "table")
    assert (layout.time, layout.columns) == (None, {})


def test_units_are_consistent() -> None:
    """Each quantity has its SI unit."""
    assert UNITS["acceleration"]["m/s2"] == UNITS["rotation"]["rad/s"] == 1
