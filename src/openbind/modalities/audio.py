"""Audio: sounds of any rate, channels and length.

Input   path or bytes; (samples, rate in Hz); {"array", "sampling_rate"}. Float in [-1, 1] or
        integers; mono, stereo, more.
Tensor  mel_BSCFT float32: clips of a fixed length, one channel, mel bins, frames.
Clips   the reference spreads 3 of 2 s whatever the length; the paper covers it with ⌈t/2⌉.
Scale   20, the paper's temperature 0.05 (Table 9).
Source  spec 3.3: 16 kHz, Kaldi log-mel, 204 frames, mean -4.268, deviation 9.138 (AST's).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from openbind.media.audio import read_audio, read_part
from openbind.media.drawing import draw_wave
from openbind.modalities.spec import Modality, Preprocess, Sample, View
from openbind.signal.clips import cover_clips, sample_range, uniform_clips
from openbind.signal.fbank import KaldiFbank, PowerMel, kaldi_fbank, power_mel
from openbind.signal.resample import resample


@dataclass(frozen=True, kw_only=True)
class AudioSettings:
    """What decides the mel clips that a tower gets.

    Args:
        features: the mel front end and the rate it works at.
        clip_samples: samples of a clip at that rate.
        frames: columns of a clip; shorter ones are filled with zeros before normalization.
        clips: how many, spread evenly; "cover" takes as many as cover the sound.
        mono: "mix" averages the channels; "first" takes the first, as the reference does.
        center: subtract each clip's mean from its samples, over all channels.
        mean, std: subtracted from and divided into the features.
    """

    features: KaldiFbank | PowerMel = field(default_factory=KaldiFbank)
    clip_samples: int = 32_000
    frames: int = 204
    clips: int | Literal["cover"] = 3
    mono: Literal["mix", "first"] = "first"
    center: bool = True
    mean: float = -4.268
    std: float = 9.138


def prepare(settings: AudioSettings, folder: Path | None) -> Preprocess:
    """Return the function from a sound to its clips (clips, 1, mels, frames)."""
    rate_hz = settings.features.rate_hz

    def preprocess(item: Any) -> Sample:
        audio = read_audio(item)
        samples_CT = torch.from_numpy(audio.samples_CT)
        if settings.mono == "mix":
            samples_CT = samples_CT.mean(dim=0, keepdim=True)
        samples_CT = resample(samples_CT, audio.rate_hz, rate_hz)
        total = samples_CT.shape[1]
        seconds, clip_seconds = Fraction(total, rate_hz), Fraction(settings.clip_samples, rate_hz)
        if settings.clips == "cover":
            clips = cover_clips(seconds, clip_seconds)
        else:
            clips = uniform_clips(seconds, clip_seconds, settings.clips)
        pieces = [samples_CT[:, slice(*sample_range(clip, rate_hz))] for clip in clips]
        times = tuple((float(start), float(min(end, seconds))) for start, end in clips)
        return Sample(_mels(pieces, settings), times)

    return preprocess


def apply_view(item: Any, view: View) -> tuple[np.ndarray, int]:
    """Return the samples (channels, samples) and the rate of an excerpt; box and flip say nothing.

    Only the excerpt is decoded, but for what FFmpeg decodes (the sound of videos, m4a).

    Raises:
        InputError: the item can't be used, or nothing of the view's span is in it.
    """

    def choose(samples: int, rate_hz: int) -> tuple[int, int]:
        return view.steps(samples, rate_hz, item)

    audio = read_part(item, choose)
    return audio.samples_CT, audio.rate_hz


def thumbnail(item: Any, size: tuple[int, int]) -> Image.Image:
    """Draw a sound's loudness over time.

    Raises:
        InputError: the item can't be used.
    """
    return draw_wave(read_audio(item).samples_CT.mean(axis=0), size)


def _mels(pieces: list[torch.Tensor], settings: AudioSettings) -> torch.Tensor:
    """Compute the clips' normalized features, mel_SCFT (clips, 1, mels, frames)."""
    features = settings.features
    if len({piece.shape[1] for piece in pieces}) > 1:
        # Clips whose times fall between two samples may differ by one.
        return torch.cat([_mels([piece], settings) for piece in pieces])
    samples_SCT = torch.stack(pieces)
    if settings.center:
        samples_SCT = samples_SCT - samples_SCT.mean(dim=(1, 2), keepdim=True)
    samples_BT = samples_SCT[:, 0]
    # Less than a frame (10 ms of sound) is filled up with silence.
    samples_BT = F.pad(samples_BT, (0, max(0, features.window - samples_BT.shape[1])))
    if isinstance(features, KaldiFbank):
        mel_BFT = kaldi_fbank(samples_BT, features)
    else:
        mel_BFT = power_mel(samples_BT, features)
    mel_BFT = F.pad(mel_BFT, (0, max(0, settings.frames - mel_BFT.shape[-1])))
    return ((mel_BFT[..., : settings.frames] - settings.mean) / settings.std)[:, None]


MODALITY = Modality(
    name="audio",
    accepts="a path, bytes, (samples, rate in Hz) or {'array', 'sampling_rate'}",
    settings=AudioSettings,
    prepare=prepare,
    clip_dims=3,
    has_clips=True,
    tower="audio",
    scale=20.0,
    extensions=frozenset(
        [
            ".wav",
            ".flac",
            ".ogg",
            ".oga",
            ".opus",
            ".mp3",
            ".aif",
            ".aiff",
            ".aifc",
            ".au",
            ".m4a",
            ".aac",
            ".wma",
            ".caf",
            ".w64",
        ]
    ),
    apply_view=apply_view,
    thumbnail=thumbnail,
)
