"""Dates are seconds since 1970, times of day since midnight, whatever their spelling."""

from __future__ import annotations

import math
from datetime import datetime, timezone

import pytest

from openbind.media.dates import is_like_date, to_seconds

NOON = datetime(2026, 5, 1, 12, 0, 1, tzinfo=timezone.utc).timestamp()


@pytest.mark.parametrize(
    "cell",
    [
        "2026-05-01T12:00:01",
        "2026-05-01T12:00:01Z",
        "2026-05-01 12:00:01 UTC",
        '"2026-05-01T14:00:01+02:00"',
        "2026-05-01T06:30:01-0530",
        "2026/05/01 12:00:01",
        "2026.5.1 12:00:01",
    ],
)
def test_dates(cell: str) -> None:
    """Zones, separators and quotes; without a zone it is UTC."""
    assert is_like_date(cell)
    assert to_seconds(cell) == NOON


@pytest.mark.parametrize("fraction", [".25", ",25", ":250", ".250000000"])
def test_fractions(fraction: str) -> None:
    """Of a second, of any length."""
    assert to_seconds(f"2026-05-01T12:00:01{fraction}") == NOON + 0.25
    assert to_seconds(f"12:00:01{fraction}") == 12 * 3_600 + 1.25


def test_days() -> None:
    """A date alone is its midnight."""
    assert to_seconds("1970-01-02") == 86_400


@pytest.mark.parametrize("cell", ["", "2026", "1.5", "-3", "1e5", "12:00", "2026-13-01", "a-b-c"])
def test_others(cell: str) -> None:
    """Numbers and other texts are none."""
    assert math.isnan(to_seconds(cell))
    assert not is_like_date(cell) or cell == "2026-13-01"
