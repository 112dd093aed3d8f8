"""Front ends of audio towers: what they compute from samples, and its parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from openbind.configs import Divisor, Range, Rate

Samples = Annotated[int, Range(1, 1_000_000)]
"""Of a frame, a hop, a transform."""
Mels = Annotated[int, Range(1, 1_024)]
"""Bins of a spectrogram."""


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
