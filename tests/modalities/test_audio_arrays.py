"""Clips as NumPy arrays equal PyTorch's; what NumPy doesn't do is left to PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from openbind.modalities.audio import MODALITY
from openbind.modalities.audio_settings import AudioSettings
from openbind.signal.front_ends import PowerMel, Waveform

STARTER = AudioSettings(
    features=PowerMel(),
    clip_samples=103_424,
    frames=100,
    clips="cover",
    mono="mix",
    center=False,
    mean=0.0,
    std=1.0,
)
WAVE = AudioSettings(features=Waveform(), clip_samples=24_000, clips="cover")
NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 90_001)).astype(np.float32)


@pytest.mark.parametrize("settings", [AudioSettings(), STARTER, WAVE])
@pytest.mark.parametrize("item", [(NOISE, 44_100), (NOISE[:, :90], 8_000), (NOISE, 44_101)])
def test_clips_are_equal(settings: AudioSettings, item: Any) -> None:
    """Any rate and length, one that is shorter than a frame included."""
    assert MODALITY.prepare_arrays is not None
    found = MODALITY.prepare_arrays(settings, None)(item)
    expected = MODALITY.prepare(settings, None)(item)
    assert found.times == expected.times
    assert found.clips.dtype == np.float32
    assert found.clips == pytest.approx(expected.clips.numpy(), abs=5e-4)
