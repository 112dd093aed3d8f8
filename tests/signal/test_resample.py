"""Resampling equals the published formula, for any pair of rates; tones keep pitch and level."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from openbind.signal.resample import _convolve, _gather, resample


def naive(samples_CT: torch.Tensor, old: int, new: int) -> torch.Tensor:
    """One dense kernel per phase and a strided convolution, rounded in torchaudio's order."""
    divisor = math.gcd(old, new)
    old, new = old // divisor, new // divisor
    cutoff = min(old, new) * 0.99
    width = math.ceil(6 * old / cutoff)
    index = torch.arange(-width, width + old, dtype=torch.float32)[None, None] / old
    t = torch.arange(0, -new, -1, dtype=torch.float32)[:, None, None] / new + index
    t = (t * cutoff).clamp(-6, 6)
    kernel = torch.sinc(t) * torch.cos(t * math.pi / 12) ** 2 * cutoff / old
    padded = F.pad(samples_CT[:, None], (width, width + old))
    phases = F.conv1d(padded, kernel, stride=old)
    length = math.ceil(new * samples_CT.shape[-1] / old)
    return phases.transpose(1, 2).reshape(len(samples_CT), -1)[:, :length]


@pytest.mark.parametrize(
    "rates",
    [
        (44_100, 16_000),
        (48_000, 16_000),
        (8_000, 44_100),
        (22_050, 16_000),
        (3, 2),
        (2, 3),
    ],
)
def test_is_the_published_formula(rates: tuple[int, int]) -> None:
    """It equals the dense convolution for common rates."""
    noise = torch.randn(2, 5003, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(resample(noise, *rates), naive(noise, *rates), atol=2e-6, rtol=0)


@pytest.mark.parametrize("rates", [(44_101, 16_000), (16_000, 44_101), (11_025, 44_100)])
def test_tone_keeps_pitch_and_level(rates: tuple[int, int]) -> None:
    """A resampled sine is the sine at the new rate, also for odd pairs of rates."""
    old, new = rates
    at_old = torch.from_numpy(np.sin(2 * np.pi * 440 * np.arange(old) / old))
    at_new = torch.from_numpy(np.sin(2 * np.pi * 440 * np.arange(new) / new))
    middle = slice(new // 10, -new // 10)
    found = resample(at_old[None].float(), old, new)[0]
    torch.testing.assert_close(found[middle], at_new[middle].float(), atol=3e-3, rtol=0)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 400), st.integers(1, 60_000), st.integers(1, 60_000))
def test_length(samples: int, old: int, new: int) -> None:
    """⌈samples · new / old⌉ for any length and rates."""
    if samples * new / old > 1e6:
        return
    found = resample(torch.ones(1, samples), old, new)
    assert found.shape == (1, math.ceil(samples * new / old))
    assert torch.isfinite(found).all()


def test_refuses_rates_that_are_none() -> None:
    """Zero and negative rates are refused."""
    with pytest.raises(ValueError, match="positive"):
        resample(torch.ones(1, 3), 0, 5)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 500), st.integers(1, 3))
def test_both_ways_agree(old: int, new: int, samples: int, channels: int) -> None:
    """Convolution and gathering of taps have the same numbers."""
    divisor = math.gcd(old, new)
    old, new = old // divisor, new // divisor
    noise = torch.rand(channels, samples, generator=torch.Generator().manual_seed(0))
    length = math.ceil(samples * new / old)
    torch.testing.assert_close(
        _convolve(noise, old, new, length), _gather(noise, old, new, length), atol=1e-6, rtol=0
    )


def test_after_inference_mode() -> None:
    """Kernels cached inside `torch.inference_mode` can be used in training."""
    with torch.inference_mode():
        resample(torch.zeros(1, 800), 31, 37)
    samples = torch.rand(1, 800, requires_grad=True)
    resample(samples, 31, 37).sum().backward()
    assert samples.grad is not None


def test_axes_before_time() -> None:
    """Any number of axes, or none; empty audio stays empty."""
    noise = torch.rand(2, 3, 100)
    assert resample(noise, 2, 1).shape == (2, 3, 50)
    torch.testing.assert_close(resample(noise, 2, 1)[1, 2], resample(noise[1, 2], 2, 1))
    assert resample(torch.zeros(2, 0), 2, 1).shape == (2, 0)
