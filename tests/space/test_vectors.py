"""Vectors: unit length, weighted sums, times of clips."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import openbind
from openbind.space.vectors import check_vectors, clip_vectors, unit_rows


def test_clip_vectors_carry_times() -> None:
    """An ordinary array with the clips' times."""
    vectors = clip_vectors(np.eye(2, dtype=np.float32), ((0.0, 1.0), (1.0, 2.0)))
    assert vectors.times == ((0.0, 1.0), (1.0, 2.0))
    np.testing.assert_array_equal(vectors, np.eye(2))


def test_unit_rows() -> None:
    """Length 1 to the last bit but one; a row of zeros stays."""
    rows = unit_rows(np.array([[3.0, 4.0], [0.0, 0.0], [1e-20, 0]], np.float32))
    np.testing.assert_allclose(rows[0], [0.6, 0.8], atol=1e-7)
    assert rows.dtype == np.float32
    assert not rows[1].any()


def test_mean_vector() -> None:
    """One clip keeps its vector; the mean of several has unit length."""
    one = clip_vectors(np.array([[0.6, 0.8]], np.float32))
    np.testing.assert_array_equal(one.mean_vector(), one[0])
    two = clip_vectors(np.eye(2, dtype=np.float32))
    np.testing.assert_allclose(two.mean_vector(), [0.5**0.5] * 2, atol=1e-7)


def test_check_vectors() -> None:
    """One vector becomes a row; rows of NaN pass, other lengths and widths don't."""
    rows = np.eye(3, dtype=np.float32)
    assert check_vectors(rows[0], 3).shape == (1, 3)
    rows[1] = np.nan
    assert check_vectors(rows, 3).shape == (3, 3)
    for wrong in (rows * 2, rows[:, :2], np.eye(3, dtype=int), rows[None]):
        with pytest.raises(openbind.InputError):
            check_vectors(wrong, 3)


UNIT = arrays(np.float32, 8, elements=st.floats(-1, 1, width=32)).filter(
    lambda vector: np.linalg.norm(vector) > 0.1
)


@given(UNIT, UNIT, st.floats(0.1, 2), st.floats(0.1, 2))
def test_combine_is_the_weighted_sum_of_units(
    a: np.ndarray, b: np.ndarray, wa: float, wb: float
) -> None:
    """Unit length; the length of what goes in doesn't count."""
    unit_a, unit_b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    total = wa * unit_a.astype(np.float64) + wb * unit_b
    if np.linalg.norm(total) < 1e-3:
        return
    expected = total / np.linalg.norm(total)
    np.testing.assert_allclose(openbind.combine([(a, wa), (b, wb)]), expected, atol=1e-4)
    np.testing.assert_allclose(openbind.combine([(7 * a, wa), (b, wb)]), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "at least one"),
        ([(np.ones(3), 1), (np.ones(4), 1)], "dimensions differ"),
        ([(np.ones(3), float("nan"))], "finite"),
        ([(np.ones(3), 1), (np.ones(3), -1)], "is zero"),
    ],
)
def test_combine_refuses(parts: list[tuple[np.ndarray, float]], message: str) -> None:
    """Sums without a direction or a meaning are refused."""
    with pytest.raises(openbind.InputError, match=message):
        openbind.combine(parts)
