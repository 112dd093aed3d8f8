"""Audio of any sampling rate, number of channels and duration.

Input   path or bytes; (samples, rate in Hz); {"array", "sampling_rate"}. Float in [-1, 1] or
        integers; any number of channels.
Tensor  mel_BSCFT float32: clips of a fixed length, one channel, mel bins, frames. The samples, with
        one bin, for towers that compute features of their own.
Clips   the reference spreads 3 of 2 s over any duration; the paper covers it with ⌈t/2⌉.
Scale   20, the paper's temperature 0.05 (Table 9).
Source  spec 3.3: 16 kHz, Kaldi log-mel, 204 frames, mean -4.268, std 9.138 (AST's).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from openbind.media.audio import Audio, OpenAudio
from openbind.media.drawing import draw_wave
from openbind.media.types import AUDIO_EXTENSIONS
from openbind.modalities.audio_arrays import LONG_SAMPLES, mel_array, read_whole
from openbind.modalities.audio_settings import AudioSettings
from openbind.modalities.spec import (
    ArraySample,
    Modality,
    Part,
    Preprocess,
    PreprocessArrays,
    Sample,
    View,
)
from openbind.signal.clips import Clip, cover_clips, sample_range, uniform_clips
from openbind.signal.front_ends import KaldiFbank, Waveform

if TYPE_CHECKING:
    import torch

SILENT = 1e-6
"""Energy of a silent channel, as a fraction of the loudest one's: 60 dB below it."""
CLIPS_TOGETHER = 32
"""Clips whose spectrograms are computed together."""
PEAK_SAMPLES = 128
"""Samples of which the loudest is drawn."""
CANCELED = 0.25
"""Energy of an average of channels that cancel, as a fraction of that of independent ones."""


DRAWN = AudioSettings(mono="mix")


def prepare(settings: AudioSettings, folder: Path | None) -> Preprocess:
    """Return the function from a recording to its clips (clips, 1, mels, frames)."""
    import torch

    rate_hz = settings.features.rate_hz

    def preprocess(item: Any) -> Sample:
        part = Part.of(item)
        with _open(part.item) as audio:
            excerpt = _Excerpt.read(audio, part.view, settings)
            seconds = Fraction(excerpt.samples, rate_hz)
            clips = _cut(seconds, settings)
            # A few clips at a time: those of a long recording would fill the memory.
            mels, peaks = [], []
            for start in range(0, len(clips), CLIPS_TOGETHER):
                cut = [
                    excerpt.window(*sample_range(clip, rate_hz))
                    for clip in clips[start : start + CLIPS_TOGETHER]
                ]
                mels.append(_mels(cut, settings))
                peaks += [samples_CT[0] for samples_CT in map(_peaks, cut)]
        times = tuple((float(start), float(min(end, seconds))) for start, end in clips)
        return Sample(torch.cat(mels), times, partial(draw_wave, torch.cat(peaks).numpy()))

    return preprocess


def prepare_arrays(settings: AudioSettings, folder: Path | None) -> PreprocessArrays:
    """Return the function of `prepare` for NumPy arrays; long recordings need PyTorch."""
    rate_hz = settings.features.rate_hz

    def preprocess(item: Any) -> ArraySample:
        with _open(item) as audio:
            samples_T = read_whole(audio, settings)
        if samples_T is None:
            sample = prepare(settings, folder)(item)
            return ArraySample(sample.clips.numpy(), sample.times)
        seconds = Fraction(len(samples_T), rate_hz)
        clips = _cut(seconds, settings)
        cut = [samples_T[slice(*sample_range(clip, rate_hz))] for clip in clips]
        times = tuple((float(start), float(min(end, seconds))) for start, end in clips)
        return ArraySample(np.stack([mel_array(part_T, settings) for part_T in cut]), times)

    return preprocess


@dataclass(frozen=True)
class _Excerpt:
    """A part of a recording, with one channel at a tower's rate; a long one is read in windows.

    Args:
        audio: the recording.
        settings: of the tower.
        first, last: samples of the part.
        from_hz: rate of the recording.
        short_CT: a short part, resampled; None if it is long.
    """

    audio: OpenAudio
    settings: AudioSettings
    first: int
    last: int
    from_hz: int
    short_CT: torch.Tensor | None

    @classmethod
    def read(cls, audio: OpenAudio, view: View, settings: AudioSettings) -> _Excerpt:
        """Read a part if it is short."""
        first = last = 0

        def select(samples: int, rate_hz: int) -> tuple[int, int]:
            nonlocal first, last
            first, last = view.steps(samples, rate_hz, audio.source)
            return first, last if last - first <= LONG_SAMPLES else first + 1

        found = audio.read(select)
        short_CT = None
        if last - first <= LONG_SAMPLES:
            short_CT = _to_rate(found, settings)
        return cls(audio, settings, first, last, found.rate_hz, short_CT)

    @property
    def samples(self) -> int:
        """Number of samples at the tower's rate."""
        if self.short_CT is not None:
            return self.short_CT.shape[1]
        rate = Fraction(self.settings.features.rate_hz, self.from_hz)
        return math.ceil((self.last - self.first) * rate)

    def window(self, start: int, end: int) -> torch.Tensor:
        """Return samples at the tower's rate, (1, samples); fewer behind the part's end."""
        if self.short_CT is not None:
            return self.short_CT[:, start:end]
        from openbind.signal.resample import input_range

        rate_hz = self.settings.features.rate_hz
        first, last, before = input_range(start, end, self.from_hz, rate_hz)
        first, last = self.first + first, min(self.first + last, self.last)
        found = self.audio.read(lambda samples, rate_hz: (min(first, last - 1), last))
        return _to_rate(found, self.settings)[:, before : before + end - start]


def _to_rate(audio: Audio, settings: AudioSettings) -> torch.Tensor:
    """Return one channel, (1, samples), at the tower's rate."""
    import torch

    from openbind.signal.resample import resample

    samples_CT = torch.from_numpy(audio.samples_CT)
    samples_CT = mix(samples_CT) if settings.mono == "mix" else samples_CT[:1]
    return resample(samples_CT, audio.rate_hz, settings.features.rate_hz)


def _cut(seconds: Fraction, settings: AudioSettings) -> list[Clip]:
    clip_seconds = Fraction(settings.clip_samples, settings.features.rate_hz)
    if settings.clips == "cover":
        return cover_clips(seconds, clip_seconds)
    return uniform_clips(seconds, clip_seconds, settings.clips)


def apply_view(item: Any, view: View) -> tuple[np.ndarray, int]:
    """Return (samples_CT, rate in Hz) of an excerpt; box and flip are ignored.

    Only the excerpt is decoded where the format can be sought.

    Raises:
        InputError: the item is unusable, or the span lies outside it.
    """
    with OpenAudio(item) as audio:
        excerpt = audio.read(partial(view.steps, item=item))
        return excerpt.samples_CT, excerpt.rate_hz


def open_views(item: Any, views: Sequence[View]) -> Iterator[Any]:
    """Yield parts of an item that is opened once; each is decoded when it is preprocessed.

    Preprocess a part before taking the next: they share the open file, which is closed at the end.
    """
    with OpenAudio(item) as audio:
        for view in views:
            yield Part(audio, view)


def thumbnail(item: Any, size: tuple[int, int]) -> Image.Image:
    """Draw the loudness over time; of a long recording, by moments of it.

    Raises:
        InputError: the item is unusable.
    """
    import torch

    part = Part.of(item)
    with _open(part.item) as audio:
        excerpt = _Excerpt.read(audio, part.view, DRAWN)
        if excerpt.short_CT is not None:
            return draw_wave(excerpt.short_CT[0].numpy(), size)
        edges = np.linspace(0, excerpt.samples, size[0] + 1).astype(int).tolist()
        step = min(DRAWN.features.rate_hz // 10, edges[1])
        moments = [excerpt.window(start, start + step)[0] for start in edges[:-1]]
    return draw_wave(torch.cat(moments).numpy(), size)


def duration(item: Any) -> float:
    """Return the seconds of a recording, by its header where that is reliable.

    Raises:
        InputError: the item is unusable.
    """
    with _open(item) as audio:
        if not isinstance(audio.source, Mapping | tuple):
            return audio.measure()
        found: list[float] = []

        def select(samples: int, rate_hz: int) -> tuple[int, int]:
            found.append(samples / rate_hz)
            return 0, min(samples, 1)

        audio.read(select)
        return found[-1]


def clip_seconds(settings: AudioSettings) -> float:
    """Return the seconds of a clip."""
    return settings.clip_samples / settings.features.rate_hz


def _open(item: Any) -> AbstractContextManager[OpenAudio]:
    return nullcontext(item) if isinstance(item, OpenAudio) else OpenAudio(item)


def _peaks(samples_CT: torch.Tensor) -> torch.Tensor:
    """Return the loudest sample of every few, for drawing."""
    import torch.nn.functional as F

    return F.max_pool1d(samples_CT.abs(), PEAK_SAMPLES, ceil_mode=True)


def mix(samples_CT: torch.Tensor) -> torch.Tensor:
    """Average the channels that aren't silent.

    Channels of opposite phase cancel each other: where the average keeps less than a quarter of the
    energy that independent channels would, the loudest channel is taken instead.

    Args:
        samples_CT: (channels, samples).

    Returns:
        (1, samples).
    """
    mixed_CT = samples_CT.mean(dim=0, keepdim=True)
    if len(samples_CT) == 1:
        return mixed_CT
    energy_C = samples_CT.double().square().mean(dim=1)
    heard_C = energy_C > SILENT * energy_C.max()
    if not heard_C.all() and heard_C.any():
        samples_CT, energy_C = samples_CT[heard_C], energy_C[heard_C]
        mixed_CT = samples_CT.mean(dim=0, keepdim=True)
    independent = energy_C.mean() / len(samples_CT)
    if mixed_CT.double().square().mean() < CANCELED * independent:
        loudest = int(energy_C.argmax())
        return samples_CT[loudest : loudest + 1]
    return mixed_CT


def _mels(clips: list[torch.Tensor], settings: AudioSettings) -> torch.Tensor:
    """Compute the normalized features of clips, mel_SCFT (clips, 1, mels, frames)."""
    import torch
    import torch.nn.functional as F

    from openbind.signal.fbank import kaldi_fbank, power_mel

    features = settings.features
    if isinstance(features, Waveform):
        return torch.stack([_fit_samples(clip, settings.clip_samples) for clip in clips])[:, None]
    if len({clip.shape[1] for clip in clips}) > 1:
        # Lengths of clips whose times fall between two samples may differ by one.
        return torch.cat([_mels([clip], settings) for clip in clips])
    samples_SCT = torch.stack(clips)
    if settings.center:
        samples_SCT = samples_SCT - samples_SCT.mean(dim=(1, 2), keepdim=True)
    samples_BT = samples_SCT[:, 0]
    # Less than one frame (10 ms of audio) is padded with silence.
    samples_BT = F.pad(samples_BT, (0, max(0, features.window - samples_BT.shape[1])))
    if isinstance(features, KaldiFbank):
        mel_BFT = kaldi_fbank(samples_BT, features)
    else:
        mel_BFT = power_mel(samples_BT, features)
    mel_BFT = F.pad(mel_BFT, (0, max(0, settings.frames - mel_BFT.shape[-1])))
    return ((mel_BFT[..., : settings.frames] - settings.mean) / settings.std)[:, None]


def _fit_samples(clip_CT: torch.Tensor, count: int) -> torch.Tensor:
    """Give a clip that is a sample too long or short its length; a short one keeps its own."""
    import torch.nn.functional as F

    missing = count - clip_CT.shape[1]
    return F.pad(clip_CT, (0, missing)) if missing <= 1 else clip_CT


MODALITY = Modality(
    name="audio",
    accepts="a path, bytes, (samples, rate in Hz) or {'array', 'sampling_rate'}",
    settings=AudioSettings,
    prepare=prepare,
    clip_dims=3,
    has_clips=True,
    tower="audio",
    scale=20.0,
    version=2,
    extensions=AUDIO_EXTENSIONS,
    apply_view=apply_view,
    open_views=open_views,
    thumbnail=thumbnail,
    duration=duration,
    clip_seconds=clip_seconds,
    prepare_arrays=prepare_arrays,
)
