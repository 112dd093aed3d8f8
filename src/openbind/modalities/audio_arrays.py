"""Clips of audio as NumPy arrays, without PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np

from openbind.media.audio import OpenAudio
from openbind.modalities.audio_settings import AudioSettings
from openbind.signal import mel_arrays
from openbind.signal.front_ends import KaldiFbank, Waveform

LONG_SAMPLES = 1 << 21
"""Samples of each channel up to which a part is read as a whole: 47 s at 44.1 kHz."""


def read_whole(audio: OpenAudio, settings: AudioSettings) -> np.ndarray | None:
    """Return one channel at the tower's rate; None if it is long, or of an unusual rate."""
    counts = []

    def select(samples: int, rate_hz: int) -> tuple[int, int]:
        counts.append(samples)
        return 0, samples if samples <= LONG_SAMPLES else 1

    found, rate_hz = audio.read(select), settings.features.rate_hz
    if counts[-1] > LONG_SAMPLES or not mel_arrays.can_resample(found.rate_hz, rate_hz):
        return None
    one_T = mel_arrays.mix(found.samples_CT) if settings.mono == "mix" else found.samples_CT[0]
    return mel_arrays.resample(one_T, found.rate_hz, rate_hz)


def mel_array(samples_T: np.ndarray, settings: AudioSettings) -> np.ndarray:
    """Compute the normalized features of one clip, mel_CFT (1, mels, frames), as `audio._mels`."""
    features = settings.features
    if isinstance(features, Waveform):
        missing = settings.clip_samples - len(samples_T)
        return np.pad(samples_T, (0, max(0, missing if missing <= 1 else 0)))[None, None]
    if settings.center:
        samples_T = samples_T - samples_T.mean()
    samples_T = np.pad(samples_T, (0, max(0, features.window - len(samples_T))))
    is_kaldi = isinstance(features, KaldiFbank)
    compute: Any = mel_arrays.kaldi_fbank if is_kaldi else mel_arrays.power_mel
    mel_CFT = compute(samples_T[None], features)
    mel_CFT = np.pad(mel_CFT, ((0, 0), (0, 0), (0, max(0, settings.frames - mel_CFT.shape[-1]))))
    scaled_CFT = (mel_CFT[..., : settings.frames] - settings.mean) / settings.std
    return np.asarray(scaled_CFT, np.float32)
