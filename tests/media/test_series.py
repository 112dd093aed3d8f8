"""Recordings are read with their rate from any form, and resampled by their times."""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from openbind.errors import InputError
from openbind.media.series import Series, duration_of, exact_rate, read_series

WAVES_TC = np.sin(np.arange(2_000)[:, None] * np.linspace(0.01, 0.05, 6)).astype(np.float32)
HEADER = "time,ax,ay,az,gx,gy,gz"


def csv(times: np.ndarray, values_TC: np.ndarray, header: str = HEADER) -> bytes:
    table = np.column_stack([times, values_TC])
    return (header + "\n" + "\n".join(",".join(map(repr, row)) for row in table.tolist())).encode()


def wave(seconds: np.ndarray) -> np.ndarray:
    """Six slow waves at given times."""
    return np.sin(seconds[:, None] * np.linspace(1, 2, 6))


def test_files(tmp_path: Path) -> None:
    """CSV with times or a rate, .npy, bytes, a dictionary, a series: one recording."""
    (tmp_path / "timed.csv").write_bytes(csv(np.arange(2_000) / 200, WAVES_TC))
    np.savetxt(tmp_path / "plain.csv", WAVES_TC, delimiter=",", fmt="%.9g")
    np.save(tmp_path / "values.npy", WAVES_TC)
    buffer = io.BytesIO()
    np.save(buffer, WAVES_TC)
    for item in (
        tmp_path / "timed.csv",
        (tmp_path / "plain.csv", 200),
        (tmp_path / "timed.csv", 200),
        (tmp_path / "values.npy", 200),
        (buffer.getvalue(), 200),
        {"array": WAVES_TC, "sampling_rate": 200},
        (torch.from_numpy(WAVES_TC), 200),
        Series(WAVES_TC, 200),
    ):
        series = read_series(item)
        assert series.rate_hz == 200
        np.testing.assert_allclose(series.values_TC, WAVES_TC, atol=1e-6)


def test_missing_values() -> None:
    """Linear between neighbors, the nearest value at the ends."""
    gappy = np.tile(np.array([[np.nan], [1.0], [np.nan], [3.0], [np.inf]]), 6)
    np.testing.assert_array_equal(read_series((gappy, 10)).values_TC[:, 5], [1, 1, 2, 3, 3])


@pytest.mark.parametrize("times", [[0, 0, 0], [2, 1, 0], [0, "x", 1], [0], [0, "", 2]])
def test_times_must_rise(times: list[object]) -> None:
    """Constant, decreasing and missing times are refused."""
    table = "seconds,ax,ay,az,gx,gy,gz\n" + "".join(f"{t},1,2,3,4,5,6\n" for t in times)
    with pytest.raises(InputError):
        read_series(table.encode())


def test_order_and_units_of_named_columns() -> None:
    """The same motion in another order and other units, among columns of text."""
    expected = read_series(csv(np.arange(99) / 25, WAVES_TC[:99]))
    rows = [
        f"{i * 40},2020-01-01 00:00,{','.join(map(repr, [*gyro[::-1], *accel]))}"
        for i, (accel, gyro) in enumerate(
            zip(
                (WAVES_TC[:99, :3] / 9.80665).tolist(),
                (WAVES_TC[:99, 3:] * 180 / np.pi).tolist(),
                strict=True,
            )
        )
    ]
    header = "timestamp_ms,date,gz (deg/s),gy (deg/s),gx (deg/s),ax (g),ay (g),az (g)"
    found = read_series("\n".join([header, *rows]).encode())
    np.testing.assert_allclose(found.values_TC, expected.values_TC, rtol=1e-5, atol=1e-6)
    assert (found.rate_hz, found.is_si) == (25, (True, True))
    assert expected.is_si == (False, False)


@pytest.mark.parametrize("rate", [12.5, 31.25, 33.3, 99.73, 1.5, 400])
def test_fractional_rates(rate: float) -> None:
    """Rates keep their fraction, from times and as numbers."""
    steps = np.arange(400)
    if rate > 2:
        found = read_series(csv(np.round(steps / rate, 6), WAVES_TC[:400]))
        assert found.rate_hz == pytest.approx(rate, rel=1e-3)
        np.testing.assert_array_equal(found.values_TC, WAVES_TC[:400])
    assert read_series((WAVES_TC, rate)).rate_hz == rate
    assert exact_rate(rate) == Fraction(str(rate))


RANDOM = np.random.default_rng(0)
UNEVEN = {
    "bursts": (np.arange(100)[:, None] * 0.2 + np.arange(5) * 0.001).ravel(),
    "pairs": (np.arange(400)[:, None] * 0.05 + np.arange(2) * 0.0005).ravel(),
    "equal pairs": np.repeat(np.arange(400) * 0.05, 2),
    "gap": np.concatenate([np.arange(0, 10, 0.02), np.arange(15, 20, 0.02)]),
    "two rates": np.concatenate([np.arange(0, 10, 0.1), np.arange(10, 20, 0.02)]),
    "jitter": np.arange(0, 20, 0.02) + RANDOM.uniform(-0.009, 0.009, 1000) + 0.01,
    "late start": 1_000 + np.arange(0, 20, 0.02),
}


@pytest.mark.parametrize("kind", UNEVEN)
def test_uneven_times(kind: str) -> None:
    """Every measurement stays at its time; between two the line is taken, across gaps too."""
    times = UNEVEN[kind]
    series = read_series(csv(times, wave(times - times[0])))
    grid = np.arange(len(series.values_TC)) / series.rate_hz
    assert grid[-1] == pytest.approx(np.ptp(times), abs=0.05)
    expected = np.interp(grid, times - times[0], wave(times - times[0])[:, 0])
    np.testing.assert_allclose(series.values_TC[:, 0], expected, atol=0.02)
    assert len(series.values_TC) <= 50_000


def test_a_long_gap_costs_no_memory() -> None:
    """Two bursts at 1 kHz, a month apart, become a bounded number of steps."""
    burst = np.arange(1_000) / 1_000
    times = np.concatenate([burst, 2.6e6 + burst])
    assert len(read_series(csv(times, np.ones((2_000, 6)))).values_TC) < 1.1e6


@pytest.mark.parametrize(
    ("name", "scale", "first"),
    [
        ("time", 1, 0),
        ("time", 1, 1.7e9),
        ("timestamp", 1e3, 0),
        ("timestamp", 1e3, 1.7e12),
        ("timestamp", 1e6, 5e9),
        ("timestamp", 1e9, 1.7e18),
        ("timestamp", 1e9, 3.6e12),
        ("Time (ms)", 1e3, 0),
        ("t_us", 1e6, 0),
    ],
)
def test_units_of_times(name: str, scale: float, first: float) -> None:
    """Units are stated, or recognized by the date or the sampling rate."""
    times = first + np.arange(500) * 0.02 * scale
    table = csv(times, WAVES_TC[:500], HEADER.replace("time", name))
    assert read_series(table).rate_hz == 50
    assert duration_of(table) == pytest.approx(499 * 0.02, abs=1e-3)


@pytest.mark.parametrize("name", ["time", "timestamp", "datetime", "Date", "timestamp_ms"])
@pytest.mark.parametrize("zone", ["", "Z", "+05:30"])
def test_dates_as_times(name: str, zone: str) -> None:
    """Dates are times in seconds, whatever unit the column's name states."""
    start = datetime(2026, 5, 1, 23, 59, 58)
    lines = [HEADER.replace("time", name)]
    for step, row in enumerate(WAVES_TC[:500]):
        moment = (start + timedelta(milliseconds=20 * step)).isoformat(timespec="milliseconds")
        lines.append(",".join([moment + zone, *map(str, row)]))
    table = "\n".join(lines).encode()
    series = read_series(table)
    assert series.rate_hz == 50
    np.testing.assert_allclose(series.values_TC, WAVES_TC[:500], atol=1e-6)


def test_a_date_beside_times() -> None:
    """Other times come first, and with a rate a date isn't read at all."""
    lines = ["date,seconds," + HEADER.partition(",")[2]]
    lines += [
        ",".join(["1 May", str(i / 50), *map(str, row)]) for i, row in enumerate(WAVES_TC[:99])
    ]
    table = "\n".join(lines).encode()
    assert read_series(table).rate_hz == 50
    dated = table.replace(b",seconds,", b",other,")
    assert read_series((dated, 25)).rate_hz == 25
    with pytest.raises(InputError):
        read_series(dated)


@pytest.mark.parametrize("name", ["time", "t", "timestamp", "seconds"])
@pytest.mark.parametrize("step", [1, 0.8, 700])
def test_other_counts_are_no_times(name: str, step: float) -> None:
    """Sample numbers and units that can't be told are refused, with what to do."""
    table = csv(np.arange(50) * step, WAVES_TC[:50], HEADER.replace("time", name))
    with pytest.raises(InputError, match=f"{name}.*timestamp_ms"):
        read_series(table)
    assert read_series((table, 50)).rate_hz == 50


def test_separate_files() -> None:
    """An accelerometer and a gyroscope are joined by their times."""
    early, late = np.arange(0, 12, 0.01), np.arange(2, 14, 0.02)
    header = "time,seconds_elapsed,z,y,x"
    files = {
        "accelerometer": csv(early, np.column_stack([early, wave(early)[:, 2::-1]]), header),
        "gyroscope": csv(late, np.column_stack([late, wave(late)[:, :2:-1]]), header),
    }
    series = read_series(files)
    assert series.rate_hz == 100
    grid = 2 + np.arange(len(series.values_TC)) / 100
    assert grid[-1] == pytest.approx(12, abs=0.02)
    np.testing.assert_allclose(series.values_TC, wave(grid), atol=1e-3)
    with pytest.raises(InputError, match=r"one sensor only.*'gyroscope': file"):
        read_series(files["accelerometer"])
    with pytest.raises(InputError, match="expected the keys"):
        read_series({"accelerometer": files["accelerometer"]})
    away = csv(50 + early, np.column_stack([50 + early, wave(early)[:, :3]]), header)
    with pytest.raises(InputError, match="same time"):
        read_series({**files, "gyroscope": away})


def test_impossible_values() -> None:
    """Values that no sensor has, and that overflow later, are refused."""
    broken = WAVES_TC.copy()
    broken[3, 2] = 1e22
    with pytest.raises(InputError, match="1e\\+22"):
        read_series((broken, 100))
    with pytest.raises(InputError, match=r"1e\+22"):
        read_series(csv(np.arange(2_000) / 100, broken))


def test_unknown_columns_are_named() -> None:
    """Columns that are not of six axes are named."""
    with pytest.raises(InputError, match=r"accel_x.*found seconds, speed, height"):
        read_series(b"seconds,speed,height\n0,1,2\n1,2,3\n")
