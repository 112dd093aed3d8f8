"""Depth becomes disparity by the published rules, finite for any depth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbind.signal.disparity import (
    CAMERAS,
    SCALES,
    DepthCamera,
    DisparityScale,
    counts_to_metres,
    fill_holes,
    metres_to_disparity,
    scale_disparity,
    undo_bit_rotation,
)


@given(st.integers(0, 65_535))
def test_bit_rotation_is_undone(millimetres: int) -> None:
    """Rotations by 3 to the left are undone for any value."""
    rotated = (millimetres << 3 | millimetres >> 13) & 0xFFFF
    found = undo_bit_rotation(np.array([[rotated]], np.uint16))
    assert found.dtype == np.uint16
    assert found[0, 0] == millimetres


def test_millimetres() -> None:
    """2,345 mm are 2.345 m."""
    metres_HW = counts_to_metres(np.array([[0, 2345]], np.uint16), 1_000)
    assert metres_HW.dtype == np.float32
    np.testing.assert_allclose(metres_HW, [[0, 2.345]], rtol=1e-7)


def test_disparity_by_hand() -> None:
    """Baseline · focal length / depth; depths outside the limits are clipped."""
    camera = DepthCamera(baseline_metres=0.1, focal_pixels=500.0)
    found = metres_to_disparity(np.array([[0.0, 0.01, 2.0, 50.0, 400.0, np.inf]]), camera)
    np.testing.assert_allclose(found, [[5000, 5000, 25, 1, 1, 1]], rtol=1e-6)


@pytest.mark.parametrize("sensor", CAMERAS)
@pytest.mark.parametrize("name", SCALES)
def test_all_zero_depth_is_finite(sensor: str, name: str) -> None:
    """A map without measured pixels has finite disparity."""
    metres_HW = np.zeros((4, 5), np.float32)
    found = scale_disparity(metres_to_disparity(metres_HW, CAMERAS[sensor]), SCALES[name])
    assert found.shape == (4, 5)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


def test_legacy_of_true_metres() -> None:
    """True metres at an eighth are Omnivore's disparities of images read 8 times too deep."""
    metres_HW = np.linspace(0.5, 6, 12, dtype=np.float32).reshape(3, 4)
    true = metres_to_disparity(metres_HW, CAMERAS["kv2"])
    legacy = metres_to_disparity(metres_HW * 8, CAMERAS["kv2"])
    np.testing.assert_allclose(
        scale_disparity(true, SCALES["metric"]),
        scale_disparity(legacy, SCALES["omnivore"]),
        rtol=1e-4,
        atol=1e-5,
    )


def test_scale_by_hand() -> None:
    """Divide, clip, divide by the peak, then mean and std."""
    scale = DisparityScale(divide=2, low=1, high=10, peak=10, mean=0.5, std=0.25)
    found = scale_disparity(np.array([[0.0, 10.0, 100.0]]), scale)
    np.testing.assert_allclose(found, [[-1.6, 0.0, 2.0]], rtol=1e-6)
    np.testing.assert_array_equal(scale_disparity(np.array([7.5]), SCALES["raw"]), [7.5])


def test_sources_are_not_changed() -> None:
    """Arrays aren't modified."""
    metres_HW = np.array([[0.0, 3.0]], np.float32)
    scale_disparity(metres_to_disparity(metres_HW, CAMERAS["kv1"]), SCALES["unit"])
    np.testing.assert_array_equal(metres_HW, [[0, 3]])


def test_refuses() -> None:
    """Values of another type, and invalid limits, are refused."""
    with pytest.raises(ValueError, match="uint16, found int32"):
        undo_bit_rotation(np.zeros((2, 2), np.int32))
    with pytest.raises(ValueError, match="0 < near < far"):
        metres_to_disparity(np.ones((2, 2)), CAMERAS["kv1"], near_metres=0.0)


@given(st.integers(0, 2**32 - 1), st.floats(0.02, 0.98))
def test_holes_get_the_nearest_value(seed: int, missing: float) -> None:
    """Every missing pixel gets the value of one that no other is nearer than."""
    rng = np.random.default_rng(seed)
    depth_HW = np.arange(1, 8 * 11 + 1).reshape(8, 11) * (rng.random((8, 11)) > missing)
    filled_HW = fill_holes(depth_HW)
    known = np.argwhere(depth_HW)
    if not len(known):
        assert filled_HW is depth_HW
        return
    for pixel in np.argwhere(depth_HW == 0):
        square_K = ((known - pixel) ** 2).sum(1)
        source = np.argwhere(depth_HW == filled_HW[tuple(pixel)])[0]
        assert ((source - pixel) ** 2).sum() == square_K.min()
    np.testing.assert_array_equal(filled_HW[depth_HW > 0], depth_HW[depth_HW > 0])


def test_holes_between_near_and_far() -> None:
    """A shadow beside a near thing is filled from its two sides; nothing is interpolated."""
    row = np.array([[1.0, 0, 0, 0, 0, 3.0]])
    np.testing.assert_array_equal(fill_holes(row), [[1, 1, 1, 3, 3, 3]])
    np.testing.assert_array_equal(row, [[1, 0, 0, 0, 0, 3]])
    whole = np.ones((2, 2))
    assert fill_holes(whole) is whole
