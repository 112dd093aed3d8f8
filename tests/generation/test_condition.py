"""Unit vectors become raw ones of the decoder's encoder."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from openbind.errors import InputError
from openbind.generation.bridge import Bridge, BridgeInfo
from openbind.generation.condition import NORM, OTHER_NOISE, SUM_NOISE, Condition

UNIT = np.eye(4, dtype=np.float32)
INFO = BridgeInfo(
    **{
        field.name: "x" if field.type == "str" else 1  # type: ignore[arg-type]
        for field in fields(BridgeInfo)
    }
)
GAP = np.array([0, 0, 0, 1], np.float32)


@pytest.fixture
def condition() -> Condition:
    """Whose sounds lie beside the images."""
    gaps = {"audio": GAP, "image": -GAP}
    return Condition(dim=4, norm=17.0, images=frozenset(["image"]), gap=gaps.get)


def test_length_is_the_decoders(condition: Condition) -> None:
    """Never unit vectors; 20 where nothing was measured."""
    for modality in ("image", "audio", "text", None):
        lengths = np.linalg.norm(condition.raw(UNIT[:3], modality), axis=1)
        np.testing.assert_allclose(lengths, 17, rtol=1e-5)
    assert np.linalg.norm(Condition(dim=4).raw(UNIT[:1], None)) == pytest.approx(NORM)


def test_gap_is_closed_for_others_than_images(condition: Condition) -> None:
    """Images and sums stay where they are; so do modalities whose mean isn't known."""
    for modality in ("image", "text", None):
        np.testing.assert_allclose(condition.raw(UNIT, modality), 17 * UNIT, rtol=1e-5)
    moved = condition.raw(UNIT[:1], "audio")[0] / 17
    np.testing.assert_allclose(moved, np.array([1, 0, 0, 1]) / np.sqrt(2), rtol=1e-5)
    with pytest.raises(InputError, match="direction"):
        condition.raw(-UNIT[3:], "audio")


def test_noise_hides_what_is_not_like_images(condition: Condition) -> None:
    """None for images."""
    found = [condition.noise_level(modality) for modality in ("image", None, "audio")]
    assert found == [0, SUM_NOISE, OTHER_NOISE]


def test_bridge_comes_after_the_gap(condition: Condition) -> None:
    """It was fitted to images of the space."""
    weight_ED = np.zeros((4, 2), np.float32)
    weight_ED[0, 0] = weight_ED[3, 1] = 1
    bridge = Bridge(weight_ED=weight_ED, bias_D=np.zeros(2, np.float32), info=INFO)
    raw = replace(condition, bridge=bridge).raw(UNIT[:1], "audio")
    np.testing.assert_allclose(raw, [[17 / np.sqrt(2)] * 2], rtol=1e-5)
