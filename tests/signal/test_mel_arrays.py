"""Features of audio in NumPy equal PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from openbind.modalities import audio
from openbind.signal import fbank, mel_arrays
from openbind.signal.front_ends import KaldiFbank, PowerMel
from openbind.signal.resample import resample

SOUND = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 44_100)).astype(np.float32)


@pytest.mark.parametrize(("old", "new"), [(44_100, 16_000), (48_000, 44_100), (8_000, 44_100)])
def test_resampled_signals_are_equal(old: int, new: int) -> None:
    assert mel_arrays.can_resample(old, new)
    found = mel_arrays.resample(SOUND[0], old, new)
    expected = resample(torch.from_numpy(SOUND[0]), old, new).numpy()
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-5


def test_unusual_rates_are_left_to_torch() -> None:
    assert not mel_arrays.can_resample(44_101, 16_000)


def test_mels_are_equal() -> None:
    samples = torch.from_numpy(SOUND)
    kaldi, power = KaldiFbank(), PowerMel()
    for found, expected in (
        (mel_arrays.kaldi_fbank(SOUND, kaldi), fbank.kaldi_fbank(samples, kaldi)),
        (mel_arrays.power_mel(SOUND, power), fbank.power_mel(samples, power)),
    ):
        assert found.shape == tuple(expected.shape)
        assert found == pytest.approx(expected.numpy(), abs=1e-3)


@pytest.mark.parametrize(
    "gains", [(1.0,), (1.0, 0.5), (1.0, -1.0), (1.0, 0.0), (0.0, 0.0), (0.2, -0.1, 0.3)]
)
def test_channels_are_mixed_alike(gains: tuple[float, ...]) -> None:
    samples = np.stack([gain * SOUND[0] for gain in gains])
    expected = audio.mix(torch.from_numpy(samples))[0].numpy()
    assert mel_arrays.mix(samples) == pytest.approx(expected, abs=1e-7)
