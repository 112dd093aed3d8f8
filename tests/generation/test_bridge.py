"""Bridges: ridge regression, its strength chosen on held-out images, files that name both sides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from openbind.errors import CheckpointError, InputError
from openbind.generation.bridge import (
    MIN_IMAGES,
    STRENGTHS,
    Bridge,
    BridgeInfo,
    fit_bridge,
    read_bridge,
)

INFO = BridgeInfo(
    source="a" * 32,
    target="b" * 32,
    source_name="one",
    target_name="other",
    family="CLIP",
    norm=17.0,
    strength=0.1,
    images=100,
    held_out=20,
    cosine=0.9,
    recall_at_1=0.8,
    chance=0.05,
)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def sides(count: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of 6 dimensions, and rotated and noisy ones of 9."""
    generator = np.random.default_rng(0)
    a_NE = unit(generator.normal(size=(count, 6)))
    rotation = np.linalg.qr(generator.normal(size=(9, 9)))[0][:6]
    return a_NE, unit(a_NE @ rotation + noise * generator.normal(size=(count, 9)))


def test_recovers_a_rotation() -> None:
    """Without noise held-out images are found at R@1 of 1; all images count in the end."""
    a_NE, b_ND = sides(300, 0.0)
    fit = fit_bridge(a_NE, b_ND)
    assert (fit.held_out, fit.recall_at_1) == (60, 1.0)
    assert fit.cosine > 0.999
    assert fit.strength == STRENGTHS[0]
    bridge = Bridge(weight_ED=fit.weight_ED, bias_D=fit.bias_D, info=INFO)
    np.testing.assert_allclose(bridge.apply(a_NE), b_ND, atol=2e-3)


def test_noise_is_held_out() -> None:
    """Unrelated sides get a strong penalty and a recall of about chance."""
    generator = np.random.default_rng(1)
    a_NE, b_ND = (unit(generator.normal(size=(100, 40))) for _ in range(2))
    fit = fit_bridge(a_NE, b_ND)
    assert fit.strength >= 1
    assert fit.recall_at_1 <= 0.2
    assert fit_bridge(*sides(300, 0.3)).recall_at_1 < 1


def test_too_few_images() -> None:
    """Copies don't count."""
    a_NE, b_ND = sides(MIN_IMAGES - 1, 0.0)
    with pytest.raises(InputError, match=str(MIN_IMAGES)):
        fit_bridge(np.tile(a_NE, (3, 1)), np.tile(b_ND, (3, 1)))


def test_files(tmp_path: Path) -> None:
    """Written whole and read back equal; anything else is refused."""
    weight, path = np.ones((6, 9), np.float32), tmp_path / "bridge.safetensors"
    made = Bridge(weight_ED=weight, bias_D=np.zeros(9, np.float32), info=INFO)
    made.save(path)
    found = read_bridge(path)
    assert found.info == INFO
    assert np.array_equal(found.weight_ED, weight)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    with pytest.raises(CheckpointError, match="no such file"):
        read_bridge(tmp_path / "missing")
    path.write_bytes(b"no tensors")
    with pytest.raises(CheckpointError, match="not a bridge"):
        read_bridge(path)
    save_file({"weight": weight}, path)
    with pytest.raises(CheckpointError, match="not a bridge"):
        read_bridge(path)
    replace(made, weight_ED=np.full((6, 9), np.nan, np.float32)).save(path)
    with pytest.raises(CheckpointError, match="damaged"):
        read_bridge(path)
    with pytest.raises(InputError, match="nothing was changed"):
        made.save(tmp_path)
