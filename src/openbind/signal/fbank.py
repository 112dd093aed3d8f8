"""Mel spectrograms: Kaldi's log-mel filter bank, and log-scaled power mels."""

from __future__ import annotations

import math
from functools import lru_cache

import torch

from openbind.signal.front_ends import KaldiFbank, PowerMel

CHUNK = 4
"""Clips computed together, so that intermediates fit the processor's cache."""
BANDS = 4
"""Number of bands of mel filters; see `_split_bands`."""

Filters = tuple[tuple[int, int, torch.Tensor], ...]
"""Per band of filters: start and end in the interleaved spectrum, and the weights."""


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
        energies = _filter_power(frames, _kaldi_filters(config), out=logmel_BTF[start:][:CHUNK])
        energies.clamp_min_(config.floor).log_()
    return logmel_BTF.transpose(1, 2)


def _write_kaldi_frames(samples_BT: torch.Tensor, config: KaldiFbank, out: torch.Tensor) -> None:
    """Write centered, pre-emphasized, windowed frames.

    Pre-emphasis of a frame less its mean is that of the samples less (1 - a) of the mean, so that
    it is done before samples are repeated in frames. What the first sample of a frame is
    doesn't matter, since the window is 0 there.
    """
    emphasized_BT = samples_BT.clone()
    emphasized_BT[:, 1:].sub_(samples_BT[:, :-1], alpha=config.preemphasis)
    offset_BT1 = _frame_means(samples_BT, config).mul_(1 - config.preemphasis)
    frames_BTW = emphasized_BT.unfold(-1, config.window, config.hop)
    torch.sub(frames_BTW, offset_BT1, out=out).mul_(_window(config.window))


def _frame_means(samples_BT: torch.Tensor, config: KaldiFbank) -> torch.Tensor:
    """Return the mean of each frame, (B, T, 1), from those of blocks that frames share."""
    block = math.gcd(config.window, config.hop)
    whole = samples_BT.shape[1] // block * block
    means: torch.Tensor = samples_BT[:, :whole].unflatten(1, (-1, block)).mean(dim=2)
    frames_BTK = means.unfold(1, config.window // block, config.hop // block)
    return frames_BTK.mean(dim=2, keepdim=True)


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


def _filter_power(
    frames: torch.Tensor, filters: Filters, out: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the filtered power spectrum of windowed frames (B, T, samples): (B, T, F)."""
    squares = torch.view_as_real(torch.fft.rfft(frames)).square_().flatten(-2)
    parts = [squares[..., low:high] @ weights for low, high, weights in filters]
    return torch.cat(parts, dim=-1, out=out)


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
