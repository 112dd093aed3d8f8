"""Audio becomes the clips of its settings; with the defaults, the reference's."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file

from openbind.errors import InputError
from openbind.modalities.audio import MODALITY, apply_view, mix
from openbind.modalities.audio_settings import AudioSettings
from openbind.modalities.spec import View
from openbind.signal.front_ends import PowerMel, Waveform

GOLDEN = load_file(Path(__file__).parents[1] / "signal" / "golden" / "audio_logmel.safetensors")


def prepare(settings: AudioSettings, samples: np.ndarray, rate: int) -> tuple[torch.Tensor, object]:
    sample = MODALITY.prepare(settings, None)((samples, rate))
    return sample.clips, sample.times


@pytest.mark.parametrize("name", ["2s", "short"])
def test_reference_preprocessing(name: str) -> None:
    """Audio of 2 s or less has three equal clips, each the reference's log-mel."""
    clips, times = prepare(AudioSettings(), GOLDEN[f"waveform_{name}"].numpy(), 16_000)
    assert clips.shape == (3, 1, 128, 204)
    assert times == ((0.0, min(2.0, GOLDEN[f"waveform_{name}"].shape[1] / 16_000)),) * 3
    torch.testing.assert_close(clips[0], GOLDEN[f"logmel_{name}"], atol=1e-3, rtol=0)
    torch.testing.assert_close(clips[2], clips[0])


@pytest.mark.parametrize(("seconds", "count"), [(0.3, 1), (2.0, 1), (2.1, 2), (5.0, 3), (10.0, 5)])
def test_cover_takes_what_it_needs(seconds: float, count: int) -> None:
    """⌈t / 2⌉ clips, the paper's rule."""
    noise = np.random.default_rng(0).uniform(-1, 1, int(seconds * 16_000)).astype(np.float32)
    assert len(prepare(AudioSettings(clips="cover"), noise, 16_000)[0]) == count


def test_mono_policy() -> None:
    """Either the first channel is used, or the mean of all."""
    noise = np.random.default_rng(0).uniform(-1, 1, (2, 32_000)).astype(np.float32)
    noise -= noise.mean()
    first, _ = prepare(AudioSettings(), noise, 16_000)
    mixed, _ = prepare(AudioSettings(mono="mix"), noise, 16_000)
    alone, _ = prepare(AudioSettings(), noise[0], 16_000)
    mean, _ = prepare(AudioSettings(), noise.mean(axis=0), 16_000)
    torch.testing.assert_close(first, alone, atol=2e-2, rtol=0)
    torch.testing.assert_close(mixed, mean, atol=1e-4, rtol=0)


@pytest.mark.parametrize("features", [None, PowerMel()])
def test_a_hundredth_of_a_second(features: PowerMel | None) -> None:
    """Less than one frame is padded with silence."""
    settings = AudioSettings() if features is None else AudioSettings(features=features, frames=100)
    clips, _ = prepare(settings, np.ones(441, np.float32) * 0.1, 44_100)
    assert clips.shape[-1] == settings.frames
    assert torch.isfinite(clips).all()


def test_the_whole_view_of_audio(samples: Path, video: Path) -> None:
    """The whole view has the same numbers: compressed, of a video, as integers, in stereo."""
    stereo = np.random.default_rng(0).integers(-(2**15), 2**15, (2, 29_001), dtype=np.int16)
    first = sorted((samples / "sounds").iterdir())[0]
    whole = MODALITY.prepare(AudioSettings(), None)
    for item in (
        first,
        first.read_bytes(),
        video,
        (stereo, 22_050),
        {"array": stereo[0] / 2.0**15, "sampling_rate": 16_000},
    ):
        found, expected = whole(apply_view(item, View())), whole(item)
        assert torch.equal(found.clips, expected.clips)
        assert found.times == expected.times


@pytest.mark.parametrize("kind", ["video", "wav", "array"])
def test_an_excerpt_is_its_samples(kind: str, video: Path) -> None:
    """Files and arrays have the same excerpt; box and flip are ignored."""
    ramp = np.arange(32_000) / np.float32(2**15)
    wav = io.BytesIO()
    soundfile.write(wav, ramp, 8_000, format="WAV", subtype="PCM_16")
    item = {"video": video, "wav": wav.getvalue(), "array": (ramp, 8_000)}[kind]
    view = View(box=(0.0, 0.0, 0.5, 0.5), flip=True, span=(1.0, 3.0), seconds=0.5, moment=0.5)
    found, rate = apply_view(item, view)
    assert rate == 8_000
    np.testing.assert_array_equal(found, ramp[None, 14_000:18_000])
    np.testing.assert_array_equal(apply_view(item, View(seconds=9.0))[0], ramp[None])
    with pytest.raises(InputError, match=r"lasts 4\.00 s"):
        apply_view(item, View(span=(5.0, 6.0)))


def test_only_the_excerpt_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Libsndfile doesn't read beyond the excerpt."""
    wav = io.BytesIO()
    soundfile.write(wav, np.zeros(80_000), 8_000, format="FLAC")
    read: list[int] = []

    class Counted(soundfile.SoundFile):  # type: ignore[misc]
        def read(self, frames: int = -1, **options: Any) -> Any:
            read.append(frames)
            return super().read(frames, **options)

    monkeypatch.setattr(soundfile, "SoundFile", Counted)
    apply_view(wav.getvalue(), View(seconds=0.5))
    assert read == [4_000]


@pytest.mark.parametrize(
    ("channels", "level"),
    [((1, 1), 1.0), ((1, 0), 1.0), ((1, -1), 1.0), ((0.5, -1), 1.0), ((1, 0.5), 0.75), ((0, 0), 0)],
)
def test_channels_do_not_silence_each_other(channels: tuple[float, float], level: float) -> None:
    """A silent channel is dropped; of channels that cancel, the loudest is taken."""
    tone_T = torch.sin(torch.arange(800) / 5)
    mixed = mix(torch.stack([gain * tone_T for gain in channels]))
    assert float(mixed.abs().max()) == pytest.approx(level, abs=0.01)


def test_waveform() -> None:
    """For towers with features of their own: the samples, cut into clips of one length."""
    settings = AudioSettings(
        features=Waveform(rate_hz=8_000), clip_samples=8_000, clips="cover", center=False
    )
    preprocess = MODALITY.prepare(settings, None)
    short = np.linspace(-0.5, 0.5, 3_000, dtype=np.float32)
    sample = preprocess((short, 8_000))
    assert sample.clips.shape == (1, 1, 1, 3_000)
    assert (sample.clips.flatten().numpy() == short).all()
    long = preprocess((np.zeros(8_000 * 3 + 1_003, np.float32), 8_000))
    assert long.clips.shape == (4, 1, 1, 8_000)
    assert preprocess((np.zeros(44_100, np.float32), 44_100)).clips.shape == (1, 1, 1, 8_000)
