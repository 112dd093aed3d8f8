"""Spaces in 8 bits: vectors and retrieval nearly the same, saved without float weights, or not."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch

import openbind
from openbind.model import int8
from openbind.model.int8 import Int8Linear, is_fast, is_quantized
from openbind.space import quantizing
from openbind.space.quantizing import quantize_space

needs_product = pytest.mark.skipif(not is_fast("cpu"), reason="no product of bytes (VNNI)")
TEXTS = [f"a {color} {thing}" for color in ("red", "wet") for thing in ("dog", "car", "bell")]


@pytest.fixture(scope="module")
def quantized() -> openbind.Space:
    return openbind.load("starter", modalities=["text"], device="cpu", dtype="int8")


@pytest.fixture
def plain() -> openbind.Space:
    return openbind.load("starter", modalities=["text"], device="cpu")


@needs_product
def test_texts_are_near(quantized: openbind.Space, plain: openbind.Space) -> None:
    cosines = (quantized.encode("text", TEXTS) * plain.encode("text", TEXTS)).sum(axis=1)
    assert cosines.min() > 0.99
    assert sum(isinstance(m, Int8Linear) for m in quantized.towers["text"].modules()) >= 20
    assert quantized.identity("text") != plain.identity("text")


@needs_product
def test_saved_spaces_have_no_float_weights(
    tmp_path: Path, quantized: openbind.Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = quantized.encode("text", TEXTS)
    openbind.save(quantized, tmp_path / "small")
    weights = sum(
        p.numel() for p in openbind.load("starter", modalities=["text"]).towers["text"].parameters()
    )
    assert (tmp_path / "small" / "text.safetensors").stat().st_size < 1.2 * weights
    with patch.object(quantizing, "quantize", side_effect=AssertionError("measured again")):
        loaded = openbind.load(tmp_path / "small", device="cpu", dtype="int8")
    assert is_quantized(loaded.towers["text"])
    assert np.array_equal(loaded.encode("text", TEXTS), expected)
    assert loaded.identity("text") == quantized.identity("text")
    # Where bytes aren't multiplied fast, the same numbers are computed in floating point.
    monkeypatch.setattr(int8, "_has_product", lambda: False)
    elsewhere = openbind.load(tmp_path / "small", device="cpu")
    assert not is_quantized(elsewhere.towers["text"])
    assert (elsewhere.encode("text", TEXTS) * expected).sum(axis=1).min() > 0.995


@needs_product
def test_a_tower_whose_vectors_change_stays(
    plain: openbind.Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantizing, "MIN_COSINE", 1.1)
    before = plain.encode("text", TEXTS)
    with pytest.warns(UserWarning, match="text stays in its precision: cosines"):
        quantize_space(plain)
    assert not is_quantized(plain.towers["text"])
    assert np.array_equal(plain.encode("text", TEXTS), before)


def test_small_layers_stay_with_a_reason() -> None:
    space = openbind.load("starter", modalities=["imu"], device="cpu")
    tower = next(iter(space.towers.values()))
    keys = set(tower.state_dict())
    with pytest.warns(UserWarning, match="stays in its precision"):
        quantize_space(space)
    assert set(tower.state_dict()) == keys


def test_processors_without_the_product_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8, "_has_product", lambda: False)
    with pytest.warns(UserWarning, match="VNNI"):
        space = openbind.load(
            "tiny", weights="random", modalities=["text"], device="cpu", dtype="int8"
        )
    assert next(space.towers["text"].parameters()).dtype in (torch.float32, torch.bfloat16)
