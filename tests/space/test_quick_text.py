"""Text vectors by NumPy are those of the space, or aren't computed at all."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import openbind
from openbind.catalog import shipped
from openbind.space.quick_text import digest_text, is_same, open_text
from openbind.space.space import Space

STARTER = shipped("starter")


@pytest.fixture(scope="module")
def space() -> Space:
    return openbind.load("starter", modalities=["text"], device="cpu", dtype="float32")


def test_same_vectors(space: Space) -> None:
    """Short and long texts, other scripts and emoji."""
    texts = ["a", "A dog barks.", "café 강아지 🐶", "rain " * 50, "x" * 200]
    quick = open_text(STARTER, "text")
    quick_NE = np.stack([quick(text) for text in texts])
    np.testing.assert_allclose(quick_NE, space.encode("text", texts), atol=2e-6)
    assert is_same(space, STARTER, "text")


@pytest.mark.parametrize("text", ["", " \n", "a" * 300, "\udcff"])
def test_texts_for_the_space(text: str) -> None:
    """What has to be refused or cut is left to it."""
    with pytest.raises(ValueError):  # noqa: PT011
        open_text(STARTER, "text")(text)


def test_other_spaces(space: Space, tmp_path: Path) -> None:
    """Another tower, other weights, or no space at all."""
    assert digest_text(tmp_path, "text") is None
    assert digest_text(STARTER, "image") is None
    towers = copy.deepcopy(space.towers)
    with torch.no_grad():
        towers["text"].head.bias += 0.01
    assert not is_same(Space(space.config, towers, space.card, STARTER), STARTER, "text")
    other = tmp_path / "other"
    other.mkdir()
    for name in ("config.json", "text.safetensors", "tokenizer.json"):
        shutil.copy(STARTER / name, other)
    assert digest_text(other, "text") == digest_text(STARTER, "text")
    config = json.loads((other / "config.json").read_text())
    config["modalities"]["text"]["settings"]["context"] = 16
    (other / "config.json").write_text(json.dumps(config))
    assert digest_text(other, "text") != digest_text(STARTER, "text")
