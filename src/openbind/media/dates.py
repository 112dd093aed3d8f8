"""Dates and times of day in tables → seconds."""

from __future__ import annotations

import calendar
import re
from datetime import date

LIKE_A_DATE = re.compile(r'"?\s*(\d{4}[-/.]\d{1,2}[-/.]\d|\d{1,2}:\d{2}:\d)')
DATE = re.compile(
    r'"?\s*(?:(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})[T ]?\s*)?'
    r"(?:(\d{1,2}):(\d{2}):(\d{2})(?:[.,:](\d+))?)?\s*"
    r'(?:Z|UTC|([+-])(\d{2}):?(\d{2}))?\s*"?',
    re.IGNORECASE,
)
"""ISO 8601 and its usual variants: another separator of days, a space, `:` before milliseconds."""
MIDNIGHT = (0, 0, 0)


def is_like_date(cell: str) -> bool:
    """Return whether a cell is written as a date or a time of day; no number is."""
    return LIKE_A_DATE.match(cell) is not None


def to_seconds(cell: str) -> float:
    """Convert a date with or without a time of day, or a time of day alone.

    Args:
        cell: such as 2026-05-01T12:00:00.25+02:00, 2026/05/01 12:00:00, 12:00:00.25; without a
            zone it is UTC.

    Returns:
        seconds since 1970, or since midnight if there is no date; NaN for anything else.
    """
    found = DATE.fullmatch(cell)
    if found is None or not (found[1] or found[4]):
        return float("nan")
    seconds = float(f"0.{found[7]}") if found[7] else 0.0
    hours, minutes, whole = map(int, found.group(4, 5, 6)) if found[4] else MIDNIGHT
    seconds += 3_600 * hours + 60 * minutes + whole
    if found[8]:
        offset = 3_600 * int(found[9]) + 60 * int(found[10])
        seconds -= offset if found[8] == "+" else -offset
    if not found[1]:
        return seconds
    try:
        day = date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        return float("nan")
    return seconds + calendar.timegm(day.timetuple())
