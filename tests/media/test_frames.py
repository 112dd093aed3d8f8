"""Pixels that aren't square are made so."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

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
