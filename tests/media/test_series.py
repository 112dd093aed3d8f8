"""Time series are read with their rate from any form; missing values are interpolated."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch

from openbind.errors import InputError
from openbind.media.series import read_series

WAVES_TC = np.sin(np.arange(2_000)[:, None] * np.linspace(0.01, 0.05, 6)).astype(np.float32)


def test_files(tmp_path: Path) -> None:
    """CSV with times or a rate, .npy, bytes, a dictionary: one recording."""
    times = np.arange(2_000) / 200
    header = "time,ax,ay,az,gx,gy,gz"
    np.savetxt(
        tmp_path / "timed.csv",
        np.column_stack([times, WAVES_TC]),
        delimiter=",",
        header=header,
        comments="",
        fmt="%.9g",
    )
    np.savetxt(tmp_path / "plain.csv", WAVES_TC, delimiter=",", fmt="%.9g")
    np.save(tmp_path / "values.npy", WAVES_TC)
    buffer = io.BytesIO()
    np.save(buffer, WAVES_TC)
    for item in (
        tmp_path / "timed.csv",
        (tmp_path / "plain.csv", 200),
        (tmp_path / "values.npy", 200),
        (buffer.getvalue(), 200),
        {"array": WAVES_TC, "sampling_rate": 200},
        (torch.from_numpy(WAVES_TC), 200),
    ):
        series = read_series(item, 6)
        assert series.rate_hz == 200
        np.testing.assert_allclose(series.values_TC, WAVES_TC, atol=1e-6)


def test_gaps() -> None:
    """Linear between neighbors, the nearest value at the ends."""
    gappy = np.array([[np.nan], [1.0], [np.nan], [3.0], [np.inf]])
    np.testing.assert_array_equal(read_series((gappy, 10), 1).values_TC[:, 0], [1, 1, 2, 3, 3])


@pytest.mark.parametrize("times", [[0, 0, 1], [2, 1, 0], [0, "x", 1], [0]])
def test_times_must_rise(times: list[object]) -> None:
    """Constant, decreasing and missing times are refused."""
    table = "seconds,a\n" + "".join(f"{t},1\n" for t in times)
    with pytest.raises(InputError):
        read_series(table.encode(), 1)
