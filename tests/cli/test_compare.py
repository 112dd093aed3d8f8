"""`openbind compare`: a symmetric matrix of cosines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

import openbind

Run = Callable[..., tuple[int, str, str]]


def test_compare(run: Run, media: Path) -> None:
    """A symmetric matrix with ones on its diagonal, in the order of the command line."""
    image, sound = next(media.glob("dog.[!o]*")), media / "dog.ogg"
    code, out, _ = run("compare", "--text", "a dog", "--image", image, "--audio", sound, "--json")
    found = json.loads(out)
    cosine, above = np.array(found["cosine"]), np.array(found["deviations"], float)
    assert code == 0
    np.testing.assert_allclose(np.diag(cosine), 1, atol=1e-3)
    np.testing.assert_allclose(cosine, cosine.T)
    assert np.isnan(np.diag(above)).all()
    card = openbind.load("starter", modalities=["text"]).card
    expected = card.calibrate("text", "audio", cosine[0, 2])
    np.testing.assert_allclose(above[[0, 2], [2, 0]], expected, atol=0.02)
    assert run("compare", "--text", "a dog")[0] == 1
