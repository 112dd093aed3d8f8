"""Mel spectrograms: Kaldi's log-mel filter bank, and log-scaled power mels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal

import torch

from openbind.configs import Divisor, Range, Rate

Samples = Annotated[int, Range(1, 1_000_000)]
"""Of a frame, a hop, a transform."""
Mels = Annotated[int, Range(1, 1_024)]
"""Bins of a spectrogram."""

CHUNK = 8
"""Clips computed together, so that intermediates fit the processor's cache."""
BANDS = 8
"""Number of bands of mel filters; see `_split_bands`."""

Filters = tuple[tuple[int, int, torch.Tensor], ...]
"""Per band of filters: start and end in the interleaved spectrum, and the weights."""


@dataclass(frozen=True, kw_only=True)
class KaldiFbank:
    """Kaldi's log-mel energies, as ImageBind and AST use them (spec 3.3).

    Args:
        rate_hz: sampling rate.
        window: samples per frame (25 ms).
        hop: samples between frames (10 ms).
        fft: length of the transform; frames are padded with zeros.
        mels: number of bins.
        low_hz, high_hz: range of the mel filters.
        preemphasis: a in x[n] - a · x[n-1], with x[-1] = x[0].
        floor: smallest energy before the logarithm, float32's machine epsilon.
    """

    kind: Literal["kaldi"] = "kaldi"
    rate_hz: Rate = 16_000
    window: Samples = 400
    hop: Samples = 160
    fft: Samples = 512
    mels: Mels = 128
    low_hz: Annotated[float, Range(0, 1e6)] = 20.0
    high_hz: Annotated[float, Range(0, 1e6)] = 8_000.0
    preemphasis: Annotated[float, Range(0, 1)] = 0.97
    floor: Annotated[float, Range(1e-30, 1)] = 1.1920929e-07

    def __post_init__(self) -> None:
        """Check that the parts fit each other.

        Raises:
            ValueError: frames longer than the transform, or no range of frequencies.
        """
        if self.window > self.fft:
            raise ValueError(f"window: expected at most fft = {self.fft}, found {self.window}")
        if self.low_hz >= self.high_hz:
            raise ValueError(f"expected low_hz below high_hz, found {self.low_hz}, {self.high_hz}")


@dataclass(frozen=True, kw_only=True)
class PowerMel:
    """Power mels on the scale log10(gain · power + 1) / peak (Ma and Lerch, ISMIR 2022).

    Args:
        rate_hz: sampling rate.
        window: samples per frame, and length of the transform.
        hop: samples between frames.
        mels: number of bins, from 0 Hz to half the rate; each filter's weights sum to 1.
        gain: of the power before the logarithm.
        peak: divisor, the largest value in the authors' training data.
    """

    kind: Literal["power_mel"] = "power_mel"
    rate_hz: Rate = 44_100
    window: Samples = 2_048
    hop: Samples = 1_024
    mels: Mels = 96
    gain: Annotated[float, Range(1e-9, 1e9)] = 10_000.0
    peak: Divisor = 9.457798957824707


@dataclass(frozen=True, kw_only=True)
class Waveform:
    """No features: the samples, for towers that compute their own.

    Args:
        rate_hz: sampling rate.
    """

    kind: Literal["waveform"] = "waveform"
    rate_hz: Rate = 16_000


def kaldi_fbank(samples_BT: torch.Tensor, config: KaldiFbank) -> torch.Tensor:
    """Compute log-mel energies.

    Args:
        samples_BT: (batch, samples) in [-1, 1] at the config's rate; frames that would extend
            past the end are dropped (snip_edges).

    Returns:
        logmel_BFT: (batch, mels, 1 + (samples - window) // hop) natural logarithms.

    Raises:
        ValueError: fewer samples than one frame.
    """
    _check_length(samples_BT, config.window)
    steps = 1 + (samples_BT.shape[1] - config.window) // config.hop
    logmel_BTF = samples_BT.new_empty(len(samples_BT), steps, config.mels)
    # Frames are at the start of the transform's input; the zeros after them are written once.
    padded = samples_BT.new_zeros(min(CHUNK, len(samples_BT)), steps, config.fft)
    for start in range(0, len(samples_BT), CHUNK):
        part = samples_BT[start : start + CHUNK]
        frames = padded[: len(part)]
        _write_kaldi_frames(part, config, out=frames[..., : config.window])
        logmel_BTF[start : start + CHUNK] = _filter_power(frames, _kaldi_filters(config))
    return logmel_BTF.clamp_min_(config.floor).log_().transpose(1, 2)


def _write_kaldi_frames(samples_BT: torch.Tensor, config: KaldiFbank, out: torch.Tensor) -> None:
    """Write centered, pre-emphasized, windowed frames, rounded in Kaldi's order.

    Any other order changes quiet bins. The first sample stays 0, as the window is 0 there.
    """
    frames = samples_BT.unfold(-1, config.window, config.hop)
    frames = frames - frames.mean(dim=-1, keepdim=True)
    torch.sub(frames[..., 1:], frames[..., :-1] * config.preemphasis, out=out[..., 1:])
    out.mul_(_window(config.window))


def power_mel(samples_BT: torch.Tensor, config: PowerMel) -> torch.Tensor:
    """Compute power mels.

    Args:
        samples_BT: (batch, samples) in [-1, 1] at the config's rate.

    Returns:
        mel_BFT: (batch, mels, 1 + (samples - window) // hop), 0 for silence, about 1 when loud.

    Raises:
        ValueError: fewer samples than one frame.
    """
    _check_length(samples_BT, config.window)
    window, filters = _window(config.window), _unit_sum_filters(config)
    parts = [
        _filter_power(part.unfold(-1, config.window, config.hop) * window, filters)
        for part in torch.split(samples_BT, CHUNK)
    ]
    mel_BTF = torch.cat(parts).mul_(config.gain).add_(1).log10_().div_(config.peak)
    return mel_BTF.transpose(1, 2)


def _check_length(samples_BT: torch.Tensor, window: int) -> None:
    if samples_BT.shape[-1] < window:
        raise ValueError(f"{samples_BT.shape[-1]} samples, fewer than one frame of {window}")


def _filter_power(frames: torch.Tensor, filters: Filters) -> torch.Tensor:
    """Return the filtered power spectrum of windowed frames (B, T, samples): (B, T, F)."""
    squares = torch.view_as_real(torch.fft.rfft(frames)).square_().flatten(-2)
    return torch.cat([squares[..., low:high] @ weights for low, high, weights in filters], dim=-1)


def _mel(hertz: float) -> float:
    """Convert to HTK's mel scale, 1127 ln(1 + f / 700)."""
    return 1127.0 * math.log(1 + hertz / 700.0)


def _triangles(bins_hz: torch.Tensor, low_hz: float, high_hz: float, mels: int) -> torch.Tensor:
    """Return filters that are triangles on the mel scale, (bins, mels).

    Computed in float32 as in Kaldi: it matters for filters that end between two bins.
    """
    low, high = _mel(low_hz), _mel(high_hz)
    step = (high - low) / (mels + 1)
    number = torch.arange(mels)
    left, middle, right = (low + (number + i) * step for i in range(3))
    bins = (1127.0 * (1 + bins_hz / 700.0).log())[:, None]
    rising, falling = (bins - left) / (middle - left), (right - bins) / (right - middle)
    return torch.minimum(rising, falling).clamp_min(0)


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _window(length: int) -> torch.Tensor:
    """Return the symmetric Hann window; its first and last values are 0."""
    return torch.hann_window(length, periodic=False)


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _kaldi_filters(config: KaldiFbank) -> Filters:
    bins_hz = torch.arange(config.fft // 2 + 1) * (config.rate_hz / config.fft)
    filters = _triangles(bins_hz, config.low_hz, config.high_hz, config.mels)
    filters[-1] = 0  # Kaldi ignores the Nyquist bin.
    return _split_bands(filters)


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _unit_sum_filters(config: PowerMel) -> Filters:
    bins_hz = torch.arange(config.window // 2 + 1) * (config.rate_hz / config.window)
    filters = _triangles(bins_hz, 0.0, config.rate_hz / 2, config.mels)
    total = filters.sum(dim=0)
    return _split_bands(filters / torch.where(total > 0, total, math.inf))


def _split_bands(filters: torch.Tensor) -> Filters:
    """Split the filters (bins, mels) into bands, each with its range of non-zero weights.

    Triangles are zero nearly everywhere: bands need a fraction of the products. Each weight is
    repeated, for the squares of a bin's real and imaginary part.
    """
    bands = []
    for band in filters.tensor_split(BANDS, dim=1):
        used = band.any(dim=1).nonzero().flatten().tolist() or [0]
        low, high = used[0], used[-1] + 1
        bands.append((2 * low, 2 * high, band[low:high].repeat_interleave(2, dim=0)))
    return tuple(bands)
