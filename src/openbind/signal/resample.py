"""Resampling: band-limited interpolation with a Hann-windowed sinc.

Same numbers as torchaudio's `functional.resample` with its defaults (sinc_interp_hann,
lowpass_filter_width 6, rolloff 0.99), after J. O. Smith, "Digital Audio Resampling". Pairs of rates
with few phases run as one convolution; others (44,101 to 16,000) gather the taps of each output
sample, so that kernels don't grow with the rates.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

import torch
import torch.nn.functional as F

ZERO_CROSSINGS = 6
"""Zero crossings of the sinc on each side of its center."""
ROLLOFF = 0.99
"""Cut-off as a fraction of the lower rate's Nyquist frequency."""
DENSE_WEIGHTS = 1 << 19
"""Largest kernel, phases times taps, for which the convolution is faster."""
BLOCK_VALUES = 1 << 22
"""Gathered taps computed together, which bounds their memory."""
SMALL_TABLE, LARGE_TABLE = 1 << 22, 1 << 24
"""Weights, phases times taps, of tables of which several are kept, and of which one is. Larger ones
are computed where they are used."""


def resample(samples_CT: torch.Tensor, from_hz: int | Fraction, to_hz: int) -> torch.Tensor:
    """Resample a signal.

    Args:
        samples_CT: (..., samples) float.
        from_hz: rate of the samples; a fraction of small integers if it isn't whole.
        to_hz: target rate.

    Returns:
        (..., ceil(samples · to_hz / from_hz)) of the same type.

    Raises:
        ValueError: a rate isn't positive.
    """
    if from_hz <= 0 or to_hz <= 0:
        raise ValueError(f"rates must be positive, found {from_hz} and {to_hz} Hz")
    if from_hz == to_hz:
        return samples_CT
    new, old = (to_hz / Fraction(from_hz)).as_integer_ratio()
    length = math.ceil(samples_CT.shape[-1] * new / old)
    if not length:
        return samples_CT.new_zeros(*samples_CT.shape[:-1], 0)
    run = _convolve if new * (old + 2 * _width(old, new) + 2) <= DENSE_WEIGHTS else _gather
    return run(samples_CT, old, new, length)


def input_range(start: int, end: int, from_hz: int | Fraction, to_hz: int) -> tuple[int, int, int]:
    """Return which input samples decide a range of output samples.

    Args:
        start, end: first output sample, and one past the last.
        from_hz, to_hz: as for `resample`.

    Returns:
        first input sample, one past the last (it may lie behind the end of the signal), and how
        many output samples of that range come before `start`. `resample` of the range has the very
        numbers that it has of the whole.
    """
    if from_hz == to_hz:
        return start, end, 0
    new, old = (to_hz / Fraction(from_hz)).as_integer_ratio()
    width = _width(old, new)
    # Ranges begin where the phases do.
    cycle = max(0, (start * old // new - width) // old)
    return cycle * old, math.ceil(end * old / new) + width + old + 2, start - cycle * new


def _convolve(samples_CT: torch.Tensor, old: int, new: int, length: int) -> torch.Tensor:
    """Compute all phases together, with a stride of `old` samples."""
    kernel = _dense_kernel(old, new).to(samples_CT.dtype)
    steps = -(-length // new)
    before = _width(old, new)
    after = max(0, (steps - 1) * old + kernel.shape[-1] - before - samples_CT.shape[-1])
    padded = F.pad(samples_CT, (before, after)).reshape(
        -1, 1, samples_CT.shape[-1] + before + after
    )
    phases = F.conv1d(padded, kernel, stride=old)
    joined = phases.transpose(1, 2).reshape(*samples_CT.shape[:-1], -1)
    return joined[..., :length]


def _gather(samples_CT: torch.Tensor, old: int, new: int, length: int) -> torch.Tensor:
    """Gather the taps of each output sample."""
    width = _width(old, new)
    taps = 2 * width + 2
    table = _taps(old, new) if new * taps <= LARGE_TABLE else None
    windows = F.pad(samples_CT, (taps, taps + old)).unfold(-1, taps, 1)
    blocks = []
    step = max(1, BLOCK_VALUES // taps)
    for start in range(0, length, step):
        output = torch.arange(start, min(start + step, length))
        phase = output % new
        weights = _weights(old, new, phase) if table is None else table[phase]
        first = output.div(new, rounding_mode="floor") * old + _starts(old, new, phase) + taps
        gathered = windows[..., first, :]
        blocks.append(torch.einsum("...tk,tk->...t", gathered, weights.to(samples_CT.dtype)))
    return torch.cat(blocks, dim=-1)


def _width(old: int, new: int) -> int:
    """Return the number of input samples on each side that an output sample depends on."""
    return math.ceil(ZERO_CROSSINGS * old / (min(old, new) * ROLLOFF))


def _starts(old: int, new: int, phase: torch.Tensor) -> torch.Tensor:
    """Return the input sample of each phase's first tap."""
    return (phase * old).div(new, rounding_mode="floor") - _width(old, new)


def _taps(old: int, new: int) -> torch.Tensor:
    """Return the weights of all phases (phases, taps)."""
    is_small = new * (2 * _width(old, new) + 2) <= SMALL_TABLE
    return (_small_table if is_small else _large_table)(old, new)


@torch.inference_mode(False)
def _table(old: int, new: int) -> torch.Tensor:
    taps = 2 * _width(old, new) + 2
    table = torch.empty(new, taps)
    # Some phases at a time: what is computed on the way is larger than the table.
    for phase in torch.arange(new).split(max(1, BLOCK_VALUES // taps)):
        table[phase[0] : phase[-1] + 1] = _weights(old, new, phase)
    return table


_small_table = lru_cache(maxsize=8)(_table)
_large_table = lru_cache(maxsize=1)(_table)


def _weights(old: int, new: int, phase: torch.Tensor) -> torch.Tensor:
    """Return the weights of some phases (phases, taps).

    Computed in float32 and rounded in torchaudio's order: others change the samples by about 1e-5
    of full scale, which is visible in the logarithm of quiet bins.
    """
    cutoff = min(old, new) * ROLLOFF
    indices = _starts(old, new, phase)[:, None] + torch.arange(2 * _width(old, new) + 2)
    # Distance of each tap from the output sample, in zero crossings of the sinc.
    t = ((-phase).float()[:, None] / new + indices.float() / old) * cutoff
    t = t.clamp(-ZERO_CROSSINGS, ZERO_CROSSINGS)
    window = torch.cos(t * math.pi / ZERO_CROSSINGS / 2) ** 2
    t = t * math.pi
    weights = torch.where(t == 0, torch.ones(()), t.sin() / t)
    return weights * (window * (cutoff / old))


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _dense_kernel(old: int, new: int) -> torch.Tensor:
    """Return one dense filter per phase, (phases, 1, old + 2 · width + 2)."""
    weights, width = _taps(old, new), _width(old, new)
    kernel = torch.zeros(new, old + 2 * width + 2, dtype=weights.dtype)
    starts = _starts(old, new, torch.arange(new))
    indices = starts[:, None] + width + torch.arange(weights.shape[1])
    return kernel.scatter_(1, indices, weights)[:, None]
