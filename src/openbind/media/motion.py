"""Names of the columns of motion recordings → sensors, axes, units and times."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from openbind.errors import InputError

Quantity = Literal["acceleration", "rotation"]
STANDARD_GRAVITY = 9.80665
UNITS: dict[Quantity, dict[str, float]] = {
    "acceleration": {
        "m/s2": 1.0,
        "cm/s2": 0.01,
        "g": STANDARD_GRAVITY,
        "mg": STANDARD_GRAVITY / 1000,
    },
    "rotation": {"rad/s": 1.0, "mrad/s": 0.001, "deg/s": np.pi / 180, "mdeg/s": np.pi / 180_000},
}
"""Units of columns, as factors to m/s² and rad/s."""
SPELLINGS = {
    "ms2": "m/s2",
    "mps2": "m/s2",
    "mss": "m/s2",
    "meterspersecond2": "m/s2",
    "meterspersecondsquared": "m/s2",
    "cms2": "cm/s2",
    "gs": "g",
    "gforce": "g",
    "gravity": "g",
    "millig": "mg",
    "rads": "rad/s",
    "radps": "rad/s",
    "radsec": "rad/s",
    "radiansps": "rad/s",
    "radianss": "rad/s",
    "radianspersecond": "rad/s",
    "mrads": "mrad/s",
    "degs": "deg/s",
    "degsec": "deg/s",
    "degps": "deg/s",
    "dps": "deg/s",
    "degreess": "deg/s",
    "degreesps": "deg/s",
    "degreespersecond": "deg/s",
    "mdps": "mdeg/s",
    "mdegs": "mdeg/s",
}
"""Letters and digits of a unit as exporters write it → its name in `UNITS`."""
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
"""Units of times, in seconds."""
TIME_SPELLINGS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("ms", "msec", "millis", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("us", "µs", "μs", "usec", "micros", "microsecond", "microseconds"), "us"),
    **dict.fromkeys(("ns", "nsec", "nanos", "nanosecond", "nanoseconds"), "ns"),
}
TIME_WORDS = {"t", "time", "times", "timestamp", "timestamps", "elapsed", "ts", "datetime", "date"}
"""Words that make a column one of times; so do the units of `TIME_SPELLINGS` on their own."""
SENSORS: tuple[tuple[str, str, str | None], ...] = (
    (r"mag|quat|euler|attitude|orient|roll|pitch|yaw|heading|bias|drift|uncalib|std|var", "", None),
    (r"gyr|^g$|^w$|^omega$", "gyroscope", None),
    (r"rotation|angular|angvel|^rot$|^rate$", "rotation rate", None),
    (r"user", "linear", "g"),
    (r"lin", "linear", None),
    (r"grav", "gravity", None),
    (r"^gf$|gforce", "g-force", "g"),
    (r"acc|^a$", "accelerometer", None),
)
"""Patterns of column names, tried in this order → the sensor, and its unit where the name implies
one (Core Motion's user acceleration, Physics Toolbox's gF); no sensor means another quantity."""
OTHER = re.compile(r"sample|index|step|label|mag|quat|euler|roll|pitch|yaw")
"""Names that aren't axes, where no column names a sensor."""
PREFERRED: dict[Quantity, tuple[str, ...]] = {
    "acceleration": ("g-force", "accelerometer", "linear"),
    "rotation": ("gyroscope", "rotation rate"),
}
"""Sensors of a quantity, the preferred first: accelerations that include gravity."""


@dataclass(frozen=True)
class Column:
    """A column of one axis of a sensor.

    Args:
        index: in the table.
        name: as in the table.
        sensor: one of `SENSORS`.
        axis: 0 to 2.
        unit: as the name states or implies it; None if it doesn't.
    """

    index: int
    name: str
    sensor: str
    axis: int
    unit: str | None


@dataclass(frozen=True)
class Layout:
    """Which columns of a table are which.

    Args:
        time: index of the column of times, if there is one.
        time_unit: "s", "ms", "us" or "ns", if the name states it.
        columns: indices of x, y, z of each quantity; with two rows, the sum of both.
        factors: of each quantity to m/s² or rad/s; None if the names don't state the unit.
    """

    time: int | None
    time_unit: str | None
    columns: dict[Quantity, tuple[tuple[int, ...], ...]]
    factors: dict[Quantity, float | None]

    @property
    def used(self) -> list[int]:
        """Indices of all columns that are read, ascending."""
        groups = [group for rows in self.columns.values() for row in rows for group in row]
        return sorted({*groups, *(() if self.time is None else (self.time,))})


def read_layout(names: Sequence[str], item: Any) -> Layout:
    """Find the times, the accelerometer and the gyroscope among named columns.

    Args:
        names: of all columns. If none of them names a sensor, the columns beside the times are
            x, y, z of the accelerometer, then of the gyroscope.
        item: named by errors.

    Raises:
        InputError: an axis is named twice, or a unit isn't known.
    """
    times = [(i, *found) for i, name in enumerate(names) if (found := _time_of(name)) is not None]
    times.sort(key=lambda time: (time[1] is None, time[2]))
    time, time_unit = times[0][:2] if times else (None, None)
    others = [i for i in range(len(names)) if i not in [time[0] for time in times]]
    parsed = [column for i in others if (column := _parse(i, names[i], item)) is not None]
    if not parsed:
        parsed = _by_axis(others, names)
    columns: dict[Quantity, tuple[tuple[int, ...], ...]] = {}
    factors: dict[Quantity, float | None] = {}
    for quantity in UNITS:
        rows = _choose(parsed, quantity, item)
        if rows:
            columns[quantity] = tuple(tuple(column.index for column in row) for row in rows)
            factors[quantity] = _factor([c for row in rows for c in row], quantity, item)
    return Layout(time, time_unit, columns, factors)


def _by_axis(others: Sequence[int], names: Sequence[str]) -> list[Column]:
    """Order columns that name no sensor: by their axes if they are x, y, z twice."""
    if len(others) not in (3, 6) or any(OTHER.search(names[i].lower()) for i in others):
        return []
    axes = ["xyz".find(names[i].strip().lower()) for i in others]
    if any(sorted(group) != [0, 1, 2] for group in (axes[:3], axes[3:]) if group):
        axes = [0, 1, 2] * 2
    sensors = ["accelerometer"] * 3 + ["gyroscope"] * 3
    return [
        Column(i, names[i], sensors[place], axes[place], None) for place, i in enumerate(others)
    ]


def _words(name: str) -> list[str]:
    """Split a name at punctuation, spaces and camel case: "accelX (m/s^2)" → accel, x, m, s, 2."""
    found = re.findall(r"[A-Z]?[a-zµμ]+|[A-Z]+(?![a-z])|\d+", name)
    return [word.lower() for word in found]


def _split_unit(name: str) -> tuple[str, str | None]:
    """Split off a unit in brackets."""
    found = re.search(r"[(\[{](.+)[)\]}]", name.strip())
    return (name.replace(found[0], " "), found[1]) if found else (name, None)


def _time_of(name: str) -> tuple[str | None, int] | None:
    """Return the unit of a column of times, and the rank of its clock: the common one first."""
    rest, bracket = _split_unit(name)
    words = _words(rest)
    stated = [TIME_SPELLINGS[word] for word in words if word in TIME_SPELLINGS]
    is_time = bool(TIME_WORDS & {*words}) or words in ([s] for s in TIME_SPELLINGS if len(s) > 1)
    if not is_time or "zone" in words:
        return None
    # Ego4D has a canonical clock, Sensor Logger the elapsed seconds, SensorLog one per sensor.
    # Dates are of whole days or seconds in many files that have other times.
    ranks = ("canonical|elapsed", "acceler|motion|gyro", "^(?!.*date)", "")
    rank = next(i for i, pattern in enumerate(ranks) if re.search(pattern, "".join(words)))
    if bracket is not None:
        return TIME_SPELLINGS.get(re.sub(r"[^a-zµμ]", "", bracket.lower())), rank
    return (stated[0] if stated else None), rank


def _parse(index: int, name: str, item: Any) -> Column | None:
    """Return the sensor, axis and unit that a name states, if it names an axis of a sensor."""
    rest, bracket = _split_unit(name)
    before, axis, after = _split_axis(_words(rest))
    if axis is None:
        return None
    unit = _unit_of(bracket if bracket is not None else "".join(after))
    body = "".join(before if bracket is None and unit else [*before, *after])
    match = next((sensor for sensor in SENSORS if re.search(sensor[0], body)), None)
    if match is None or not match[1]:
        return None
    if bracket is not None and unit is None:
        known = ", ".join(unit for units in UNITS.values() for unit in units)
        raise InputError(item, f"column {name!r}: unknown unit; expected one of {known}")
    # "gx" is the gyroscope's or the acceleration in g: a unit tells.
    is_force = match[1] == "gyroscope" and unit in UNITS["acceleration"]
    return Column(index, name, "g-force" if is_force else match[1], axis, unit or match[2])


def _split_axis(words: list[str]) -> tuple[list[str], int | None, list[str]]:
    """Return the words before the axis, the axis, and the words after it."""
    for letters in ("xyz", "123"):
        for place in reversed(range(len(words))):
            if words[place] in letters:
                return words[:place], letters.index(words[place]), words[place + 1 :]
    # "ax", "gyrox".
    for place, word in enumerate(words):
        if word[-1] in "xyz":
            return [*words[:place], word[:-1]], "xyz".index(word[-1]), words[place + 1 :]
    return words, None, []


def _unit_of(text: str) -> str | None:
    """Return a unit's name by its letters and digits."""
    plain = text.lower().replace("²", "2").replace("°", "deg").replace("-2", "2")
    letters = re.sub(r"[^a-z0-9]", "", plain)
    if letters in ("g", "mg"):
        return letters
    return SPELLINGS.get(letters.replace("cal", ""))


def _choose(parsed: list[Column], quantity: Quantity, item: Any) -> list[list[Column]]:
    """Return x, y, z of the preferred sensor; gravity is added to an acceleration without it."""
    for sensor in PREFERRED[quantity]:
        axes = _axes_of(parsed, sensor, item)
        if axes is None:
            continue
        gravity = _axes_of(parsed, "gravity", item) if sensor == "linear" else None
        return [axes] if gravity is None else [axes, gravity]
    return []


def _axes_of(parsed: list[Column], sensor: str, item: Any) -> list[Column] | None:
    found = [column for column in parsed if column.sensor == sensor]
    axes = sorted(found, key=lambda column: column.axis)
    for first, second in itertools.pairwise(axes):
        if first.axis == second.axis:
            raise InputError(item, f"two columns for one axis: {first.name!r} and {second.name!r}")
    return axes if len(axes) == 3 else None


def _factor(columns: list[Column], quantity: Quantity, item: Any) -> float | None:
    """Return the factor of the columns' common unit."""
    units = {column.unit for column in columns} - {None}
    if not units:
        return None
    names = ", ".join(repr(column.name) for column in columns)
    unit = units.pop()
    if units or unit not in UNITS[quantity]:
        known = ", ".join(UNITS[quantity])
        raise InputError(item, f"columns {names}: expected one unit for all, one of {known}")
    return UNITS[quantity][unit]
