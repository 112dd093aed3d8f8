"""`openbind classify`: probabilities of the labels, the highest first."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]


def test_classify(run: Run, media: Path) -> None:
    """A image of a dog is a dog; the probabilities sum to 1."""
    image = next(media.glob("dog.[!o]*"))
    code, out, _ = run("classify", image, "--labels", "dog, rooster,rain", "--json")
    (result,) = json.loads(out)
    assert code == 0
    assert next(iter(result["labels"])) == "dog"
    assert sum(result["labels"].values()) == pytest.approx(1, abs=1e-4)
