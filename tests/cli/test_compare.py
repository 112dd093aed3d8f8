"""`openbind compare`: a symmetric matrix of cosines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

Run = Callable[..., tuple[int, str, str]]


def test_compare(run: Run, media: Path) -> None:
    """A symmetric matrix with ones on its diagonal."""
    image, sound = next(media.glob("dog.[!o]*")), media / "dog.ogg"
    code, out, _ = run("compare", "--text", "a dog", "--image", image, "--audio", sound, "--json")
    cosine = np.array(json.loads(out)["cosine"])
    assert code == 0
    np.testing.assert_allclose(np.diag(cosine), 1, atol=1e-3)
    np.testing.assert_allclose(cosine, cosine.T)
    assert run("compare", "--text", "a dog")[0] == 1
