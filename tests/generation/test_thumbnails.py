"""Thumbnails of what a generator learned from."""

from __future__ import annotations

import numpy as np

from openbind.generation.thumbnails import SIDE, make_thumbnails


def test_each_image_is_in_its_place() -> None:
    """Five flat images of different grays fill a sheet of three columns and two rows."""
    grays = np.array([0, 60, 120, 180, 240], np.uint8)
    pixels_NHWC = np.broadcast_to(grays[:, None, None, None], (5, 96, 96, 3))
    found = make_thumbnails(list("abcde"), pixels_NHWC)
    assert found.names == tuple("abcde")
    assert found.sheet.size == (3 * SIDE, 2 * SIDE)
    for row, gray in enumerate(grays):
        tile = found.tile(row)
        assert tile.size == (SIDE, SIDE)
        assert abs(np.asarray(tile, float)[8:-8, 8:-8].mean() - gray) < 6
