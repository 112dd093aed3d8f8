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


def test_exported_spaces_compare(run: Run, exported: Path, media: Path) -> None:
    """The same cosines as the folder's own space; settings are refused."""
    image = next(media.glob("dog.[!o]*"))
    options = ("--space", exported, "--runtime", "onnx", "--text", "a dog", "--image", image)
    code, out, _ = run("compare", *options, "--json")
    space = openbind.load(exported, runtime="onnx")
    cosine = space.encode("text", "a dog") @ space.encode("image", image)
    assert code == 0
    assert abs(json.loads(out)["cosine"][0][1] - cosine) < 1e-3
    assert run("compare", *options, "--set", "image.size=64")[0] == 1
