"""Log-mel equals the reference's numbers and Kaldi's definition; power mels their definition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from openbind.signal.fbank import kaldi_fbank, power_mel
from openbind.signal.front_ends import KaldiFbank, PowerMel

GOLDEN = load_file(Path(__file__).parent / "golden" / "audio_logmel.safetensors")


@pytest.mark.parametrize("name", ["2s", "short"])
def test_kaldi_is_the_reference(name: str) -> None:
    """Equals the reference's normalized, padded log-mel; 1e-3 is required.

    All but a few quiet bins, whose rounding depends on the processor's FFT, are within 1e-5.
    """
    samples = GOLDEN[f"waveform_{name}"]
    mel = kaldi_fbank(samples - samples.mean(), KaldiFbank())
    padded = torch.nn.functional.pad(mel, (0, 204 - mel.shape[-1]))
    difference = ((padded + 4.268) / 9.138 - GOLDEN[f"logmel_{name}"]).abs()
    assert difference.max() < 2e-4
    assert difference.flatten().quantile(0.99) < 1e-5


def test_batch_is_one_by_one() -> None:
    """Rows of a batch are independent."""
    noise = torch.randn(4, 5000, generator=torch.Generator().manual_seed(0))
    for function, config in ((kaldi_fbank, KaldiFbank()), (power_mel, PowerMel())):
        together = function(noise, config)  # type: ignore[operator]
        alone = torch.cat([function(row[None], config) for row in noise])  # type: ignore[operator]
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_power_mel_by_definition() -> None:
    """Hann window, power spectrum, unit-sum triangles on HTK's scale, log10(10000 x + 1)."""
    config = PowerMel()
    noise = np.random.default_rng(0).uniform(-1, 1, 4096).astype(np.float32)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2048) / 2047)
    power = np.abs(np.fft.rfft(noise[1024:3072] * window)) ** 2
    mel = 1127 * np.log(1 + np.fft.rfftfreq(2048, 1 / 44_100) / 700)
    edges = np.linspace(0, 1127 * np.log(1 + 22_050 / 700), 98)
    expected = []
    for left, middle, right in zip(edges, edges[1:], edges[2:], strict=False):
        weights = np.clip(
            np.minimum((mel - left) / (middle - left), (right - mel) / (right - middle)), 0, None
        )
        expected.append(np.log10(1e4 * (power @ weights) / weights.sum() + 1) / 9.457798957824707)
    found = power_mel(torch.from_numpy(noise)[None], config)[0, :, 1].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_silence() -> None:
    """Silence is the floor for Kaldi, zero for power mels."""
    silence = torch.zeros(1, 4000)
    assert (kaldi_fbank(silence, KaldiFbank()) - np.log(1.1920929e-07)).abs().max() < 1e-5
    assert power_mel(silence, PowerMel()).abs().max() == 0


def test_too_short() -> None:
    """Fewer samples than a frame are refused."""
    with pytest.raises(ValueError, match="399 samples, fewer than one frame of 400"):
        kaldi_fbank(torch.zeros(1, 399), KaldiFbank())


def kaldi_by_definition(samples: np.ndarray) -> np.ndarray:
    """Kaldi's steps, frame by frame, in float64."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)
    points = np.linspace(1127 * np.log(1 + 20 / 700), 1127 * np.log(1 + 8000 / 700), 130)
    mel = 1127 * np.log(1 + np.arange(257) * 31.25 / 700)
    columns = []
    for start in range(0, len(samples) - 399, 160):
        frame = samples[start : start + 400] - samples[start : start + 400].mean()
        frame = frame - 0.97 * np.concatenate([frame[:1], frame[:-1]])
        power = np.abs(np.fft.rfft(frame * window, 512)) ** 2
        column = []
        for left, middle, right in zip(points, points[1:], points[2:], strict=False):
            weights = np.minimum((mel - left) / (middle - left), (right - mel) / (right - middle))
            weights[256] = 0
            column.append(power @ weights.clip(0))
        columns.append(np.log(np.maximum(column, 1.1920929e-07)))
    return np.array(columns).T


@settings(max_examples=15, deadline=None)
@given(st.integers(400, 3000), st.integers(0, 2**31), st.floats(-0.5, 0.5))
def test_kaldi_by_definition(length: int, seed: int, offset: float) -> None:
    """Equal at any length, and with a constant offset, which is subtracted per frame."""
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, length) + offset
    found = kaldi_fbank(torch.from_numpy(samples).float()[None], KaldiFbank())[0]
    assert found.shape == (128, 1 + (length - 400) // 160)
    np.testing.assert_allclose(found, kaldi_by_definition(samples), atol=5e-3)


def test_source_is_not_changed() -> None:
    """The samples aren't modified."""
    samples = torch.rand(2, 5000)
    before = samples.clone()
    kaldi_fbank(samples, KaldiFbank())
    power_mel(samples, PowerMel())
    assert torch.equal(samples, before)
