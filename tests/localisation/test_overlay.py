"""Drawings: hot is yellow, cold stays as it was, boxes are white."""

from __future__ import annotations

import numpy as np
from PIL import Image

from openbind.localisation.heat import Localisation
from openbind.localisation.moments import Curve
from openbind.localisation.overlay import CURVE_SIZE, SHADED, draw_curve, draw_overlay


def test_overlay() -> None:
    """Of the image's size, whatever the size that boxes are in."""
    heat = np.zeros((4, 4), np.float32)
    heat[0, 0] = 1.0
    found = Localisation(heat, [(0.0, 0.0, 50.0, 50.0, 1.0)], "auto", (200, 200))
    gray = Image.new("RGB", (100, 100), (90, 90, 90))
    drawn = np.asarray(draw_overlay(gray, found))
    assert drawn.shape == (100, 100, 3)
    assert (drawn[0, 0] == 255).all()
    red, green, blue = drawn[10, 10].tolist()
    assert red > 150
    assert green > 150 > blue
    assert (drawn[90, 90] == 90).all()


def test_curve() -> None:
    """The moment is shaded, the rest isn't."""
    curve = Curve(np.arange(10.0), np.linspace(0, 1, 10), 1.0, 10.0)
    drawn = np.asarray(draw_curve(curve, [(5.0, 10.0, 1.0)]))
    assert drawn.shape == (CURVE_SIZE[1], CURVE_SIZE[0], 3)
    assert tuple(drawn[-1, 900]) == SHADED
    assert tuple(drawn[-1, 100]) == (255, 255, 255)
