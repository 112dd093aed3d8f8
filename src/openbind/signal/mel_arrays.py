"""Features of audio in NumPy, for exported spaces: PyTorch takes seconds to import.

The same steps as `fbank.py` and `resample.py`; features differ from theirs by rounding.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

import numpy as np

from openbind.signal.front_ends import KaldiFbank, PowerMel

ZERO_CROSSINGS = 6
ROLLOFF = 0.99
"""Of the resampling's sinc, as in `resample.py`."""
DENSE_WEIGHTS = 1 << 19
"""Largest kernel, phases times taps."""
SILENT, CANCELED = 1e-6, 0.25
"""Energies of a silent channel, and of an average of channels that cancel, as in the modality."""


def mix(samples_CT: np.ndarray) -> np.ndarray:
    """Average the channels that aren't silent; the loudest one, where they cancel each other.

    Args:
        samples_CT: (channels, samples) float32.

    Returns:
        (samples,).
    """
    mixed_T = samples_CT.mean(axis=0)
    if len(samples_CT) == 1:
        return np.asarray(mixed_T)
    energy_C = np.square(samples_CT, dtype=np.float64).mean(axis=1)
    heard_C = energy_C > SILENT * energy_C.max()
    if not heard_C.all() and heard_C.any():
        samples_CT, energy_C = samples_CT[heard_C], energy_C[heard_C]
        mixed_T = samples_CT.mean(axis=0)
    if np.square(mixed_T, dtype=np.float64).mean() < CANCELED * energy_C.mean() / len(samples_CT):
        return np.asarray(samples_CT[energy_C.argmax()])
    return np.asarray(mixed_T)


def can_resample(from_hz: int | Fraction, to_hz: int) -> bool:
    """Return whether `resample` takes a pair of rates: one of few phases."""
    new, old = (to_hz / Fraction(from_hz)).as_integer_ratio()
    return new * (old + 2 * _width(old, new) + 2) <= DENSE_WEIGHTS


def resample(samples_T: np.ndarray, from_hz: int | Fraction, to_hz: int) -> np.ndarray:
    """Resample a signal between two rates for which `can_resample` holds.

    Returns:
        (ceil(samples · to_hz / from_hz),) float32.
    """
    if from_hz == to_hz or not len(samples_T):
        return samples_T
    new, old = (to_hz / Fraction(from_hz)).as_integer_ratio()
    length, kernel_ST = math.ceil(len(samples_T) * new / old), _kernel(old, new)
    steps, before = -(-length // new), _width(old, new)
    after = max(0, (steps - 1) * old + kernel_ST.shape[1] - before - len(samples_T))
    padded_T = np.pad(samples_T, (before, after))
    windows = np.lib.stride_tricks.sliding_window_view(padded_T, kernel_ST.shape[1])[::old]
    return np.asarray((windows[:steps] @ kernel_ST.T).reshape(-1)[:length])


def kaldi_fbank(samples_BT: np.ndarray, config: KaldiFbank) -> np.ndarray:
    """Compute log-mel energies, logmel_BFT, as `fbank.kaldi_fbank`."""
    frames = _frames(samples_BT, config.window, config.hop)
    offset = frames.mean(axis=-1, keepdims=True) * (1 - config.preemphasis)
    emphasized_BT = samples_BT.astype(np.float32)
    emphasized_BT[:, 1:] -= samples_BT[:, :-1] * config.preemphasis
    padded = np.zeros((*frames.shape[:2], config.fft), np.float32)
    centered = _frames(emphasized_BT, config.window, config.hop) - offset
    padded[..., : config.window] = centered * _window(config.window)
    mel_BTF = _power(padded) @ _kaldi_filters(config)
    return np.asarray(np.log(np.maximum(mel_BTF, config.floor)).swapaxes(1, 2))


def power_mel(samples_BT: np.ndarray, config: PowerMel) -> np.ndarray:
    """Compute power mels, mel_BFT, as `fbank.power_mel`."""
    frames = _frames(samples_BT, config.window, config.hop) * _window(config.window)
    mel_BTF = _power(frames) @ _unit_sum_filters(config)
    scaled_BTF = np.log10(config.gain * mel_BTF + 1) / config.peak
    return np.asarray(scaled_BTF.astype(np.float32).swapaxes(1, 2))


def _frames(samples_BT: np.ndarray, window: int, hop: int) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(samples_BT, window, axis=-1)[:, ::hop]


def _power(frames: np.ndarray) -> np.ndarray:
    """Return the power spectrum of windowed frames (B, T, samples): (B, T, bins) float32."""
    spectrum = np.fft.rfft(frames)
    return np.asarray(np.square(spectrum.real) + np.square(spectrum.imag), np.float32)


def _triangles(bins_hz: np.ndarray, low_hz: float, high_hz: float, mels: int) -> np.ndarray:
    """Return filters that are triangles on the mel scale, (bins, mels) float32."""
    low, high = (1127.0 * math.log(1 + hertz / 700.0) for hertz in (low_hz, high_hz))
    step, number = (high - low) / (mels + 1), np.arange(mels, dtype=np.float32)
    left, middle, right = (np.float32(low) + (number + i) * np.float32(step) for i in range(3))
    bins = (np.float32(1127.0) * np.log(1 + bins_hz / np.float32(700.0)))[:, None]
    rising, falling = (bins - left) / (middle - left), (right - bins) / (right - middle)
    return np.asarray(np.maximum(np.minimum(rising, falling), 0))


@lru_cache(maxsize=8)
def _window(length: int) -> np.ndarray:
    """Return the symmetric Hann window."""
    return np.hanning(length).astype(np.float32)


@lru_cache(maxsize=8)
def _kaldi_filters(config: KaldiFbank) -> np.ndarray:
    bins_hz = np.arange(config.fft // 2 + 1, dtype=np.float32)
    bins_hz *= np.float32(config.rate_hz / config.fft)
    filters = _triangles(bins_hz, config.low_hz, config.high_hz, config.mels)
    filters[-1] = 0  # Kaldi ignores the Nyquist bin.
    return filters


@lru_cache(maxsize=8)
def _unit_sum_filters(config: PowerMel) -> np.ndarray:
    bins_hz = np.arange(config.window // 2 + 1, dtype=np.float32)
    bins_hz *= np.float32(config.rate_hz / config.window)
    filters = _triangles(bins_hz, 0.0, config.rate_hz / 2, config.mels)
    total = filters.sum(axis=0)
    return filters / np.where(total > 0, total, np.float32(math.inf))


def _width(old: int, new: int) -> int:
    return math.ceil(ZERO_CROSSINGS * old / (min(old, new) * ROLLOFF))


@lru_cache(maxsize=8)
def _kernel(old: int, new: int) -> np.ndarray:
    """Return one filter for each phase, (phases, old + 2 · width + 2), rounded as in PyTorch."""
    width, cutoff = _width(old, new), min(old, new) * ROLLOFF
    phase = np.arange(new)[:, None]
    starts = phase * old // new - width
    indices = starts + np.arange(2 * width + 2)
    t = -phase.astype(np.float32) / np.float32(new) + indices.astype(np.float32) / np.float32(old)
    t = np.clip(t * np.float32(cutoff), -ZERO_CROSSINGS, ZERO_CROSSINGS)
    window = np.cos(t * np.float32(math.pi) / ZERO_CROSSINGS / 2) ** 2
    sinc = np.sinc(t.astype(np.float64)).astype(np.float32)
    kernel = np.zeros((new, old + 2 * width + 2), np.float32)
    weights = sinc * (window * np.float32(cutoff / old))
    np.put_along_axis(kernel, starts + width + np.arange(2 * width + 2), weights, axis=1)
    return kernel
