"""Pixels that aren't square are made so."""

from __future__ import annotations

import struct
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest
from av.sidedata.sidedata import Type

from openbind.media.frames import to_rgb, upright_size


@pytest.mark.parametrize(
    ("aspect", "size"),
    [
        (None, (40, 30)),
        (Fraction(2), (80, 30)),
        (Fraction(1, 2), (40, 60)),
        (Fraction(999), (40, 30)),
    ],
)
def test_pixels_become_square(aspect: Fraction | None, size: tuple[int, int]) -> None:
    """One side is enlarged; an absurd ratio is ignored."""
    frame = av.VideoFrame.from_ndarray(np.zeros((30, 40, 3), np.uint8), format="rgb24")
    assert upright_size(frame, aspect) == size
    assert to_rgb(frame, aspect).shape == (size[1], size[0], 3)


@pytest.mark.parametrize(
    ("matrix", "upright"),
    [
        ((1, 0, 0, 1), [[1, 2], [3, 4]]),
        ((-1, 0, 0, 1), [[2, 1], [4, 3]]),
        ((1, 0, 0, -1), [[3, 4], [1, 2]]),
        ((0, 1, 1, 0), [[1, 3], [2, 4]]),
        ((0, 1, -1, 0), [[3, 1], [4, 2]]),
        ((0, -1, 1, 0), [[2, 4], [1, 3]]),
        ((0, -1, -1, 0), [[4, 2], [3, 1]]),
    ],
)
def test_display_matrices(matrix: tuple[int, int, int, int], upright: list[list[int]]) -> None:
    """(a, b, c, d) moves the pixel (x, y) to (a·x + c·y, b·x + d·y), mirrored or not."""
    a, b, c, d = (value << 16 for value in matrix)
    data = struct.pack("=9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    pixels = np.kron(np.array([[1, 2], [3, 4]], np.uint8) * 50, np.ones((8, 8), np.uint8))
    frame = SimpleNamespace(
        side_data={Type.DISPLAYMATRIX: data},
        width=16,
        height=16,
        to_ndarray=lambda format: np.repeat(pixels[..., None], 3, axis=2),
    )
    assert (to_rgb(frame, None)[::8, ::8, 0] // 50).tolist() == upright
