"""The range of a thermal image is its scene's, without dead pixels, telemetry and marks."""

from __future__ import annotations

import numpy as np
import pytest

from openbind.signal.thermal import display_range, mark_missing, replace_telemetry

SCENE = np.random.default_rng(0).integers(29_315, 30_915, (120, 160), dtype=np.uint16)


def test_ordinary_images_are_unchanged() -> None:
    """Without outliers the map stays, and its range is from the least to the greatest value."""
    warm = np.full((120, 160), 29_500, np.uint16) + np.arange(160, dtype=np.uint16)
    warm[40:52, 40:50] = 31_500  # 0.6% of the image
    for map_HW in (SCENE, warm, SCENE / np.float32(100), SCENE[:9], np.full((30, 30), 7.0)):
        assert mark_missing(map_HW) is map_HW
        assert replace_telemetry(map_HW) is map_HW
        assert display_range(map_HW.astype(np.float64)) == (map_HW.min(), map_HW.max())


@pytest.mark.parametrize("value", [0, 65_535])
def test_dead_pixels(value: int) -> None:
    """A few pixels far from the others don't set the range."""
    broken = SCENE.copy()
    broken.flat[::400] = value
    assert display_range(broken.astype(np.float64)) == pytest.approx((29_315, 30_915), abs=3)


@pytest.mark.parametrize("rows", [slice(0, 1), slice(-2, None), slice(-3, None)])
def test_telemetry(rows: slice) -> None:
    """Rows of other data become the nearest row of the image."""
    broken = SCENE.copy()
    broken[rows] = np.random.default_rng(1).integers(0, 65_536, broken[rows].shape)
    mended = replace_telemetry(broken)
    assert display_range(mended.astype(np.float64)) == pytest.approx((29_315, 30_915), abs=3)
    is_image_H = (broken == SCENE).all(axis=1)
    np.testing.assert_array_equal(mended[is_image_H], SCENE[is_image_H])


@pytest.mark.parametrize(
    ("map_HW", "mark"),
    [
        (SCENE, 0),
        (SCENE, 65_535),
        (SCENE.astype(np.int32) - 27_315, -9999),
        (SCENE.astype(np.int16) - 27_315, -32_768),
        (SCENE / np.float32(100), 0.0),
        (SCENE / np.float32(100) - np.float32(273.15), -9999.0),
    ],
)
def test_marks(map_HW: np.ndarray, mark: float) -> None:
    """A third of the image that has no measurements is missing, whatever marks it."""
    marked = map_HW.copy()
    marked[:40] = mark
    found = mark_missing(marked)
    assert np.isnan(found[:40]).all()
    np.testing.assert_array_equal(found[40:], map_HW[40:].astype(np.float32))


def test_zero_may_be_a_count() -> None:
    """Counts that begin near 0 keep it, and 8 bits keep all."""
    counts = np.arange(120 * 160).reshape(120, 160).astype(np.uint16)
    assert mark_missing(counts) is counts
    eight = np.full((30, 30), 200, np.uint8)
    eight[0] = 0
    assert mark_missing(eight) is eight
    assert replace_telemetry(eight) is eight
