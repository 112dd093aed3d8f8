"""Invariants of aiSFX: the published numbers, and its pooling."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

import openbind
from openbind.model.backbones.aisfx import AiSFX, AiSFXConfig

GOLDEN = Path(__file__).parent / "golden" / "aisfx.safetensors"
TINY = AiSFXConfig(channels=(2, 3, 4, 5), embed_dim=6)


@pytest.fixture(scope="module")
def shipped() -> AiSFX:
    space = openbind.load("starter", modalities=["audio"], dtype="float32")
    tower = space.towers["audio"]
    assert isinstance(tower, AiSFX)
    return tower


@torch.inference_mode()
def test_equals_the_original(shipped: AiSFX) -> None:
    """Features are the original's, to the precision of half-size weights."""
    golden = load_file(GOLDEN)
    features_BD = shipped.features(golden["mel_BCFT"].float())
    assert float(F.cosine_similarity(features_BD, golden["features_BD"]).min()) > 0.99999
    relative = (features_BD - golden["features_BD"]).norm() / golden["features_BD"].norm()
    assert float(relative) < 3e-3


def test_features_are_mean_over_bins_then_maximum_over_frames() -> None:
    """The last block's map is averaged over frequency, then maximized over time."""
    torch.manual_seed(0)
    module = AiSFX(TINY).eval()
    hidden = torch.randn(2, 1, 16, 24)
    expected = hidden
    for index, block in enumerate(module.blocks):
        expected = block(F.max_pool2d(expected, 2) if index else expected)
    expected = expected.mean(dim=2).max(dim=2).values
    torch.testing.assert_close(module.features(hidden), expected)
    torch.testing.assert_close(module(hidden), module.head(expected))


@torch.inference_mode()
def test_frequency_and_time_are_not_exchangeable(shipped: AiSFX) -> None:
    """A steady tone and a click, each the other transposed, have different features."""
    tone_BCFT = torch.zeros(1, 1, 96, 96)
    tone_BCFT[:, :, 40] = 0.8
    tone_BD = shipped.features(tone_BCFT)
    click_BD = shipped.features(tone_BCFT.transpose(2, 3))
    assert float(F.cosine_similarity(tone_BD, click_BD)) < 0.9


def test_input_is_not_written_to() -> None:
    """In-place ReLUs don't modify the caller's spectrogram."""
    mel_BCFT = -torch.ones(1, 1, 16, 16)
    AiSFX(TINY).eval()(mel_BCFT)
    assert torch.equal(mel_BCFT, -torch.ones(1, 1, 16, 16))
