"""A sound becomes clips as its settings say; with the defaults, as the reference does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from openbind.modalities.audio import MODALITY, AudioSettings
from openbind.signal.fbank import PowerMel

GOLDEN = load_file(Path(__file__).parents[1] / "signal" / "golden" / "audio_logmel.safetensors")


def prepare(settings: AudioSettings, samples: np.ndarray, rate: int) -> tuple[torch.Tensor, object]:
    sample = MODALITY.prepare(settings, None)((samples, rate))
    return sample.clips, sample.times


@pytest.mark.parametrize("name", ["2s", "short"])
def test_reference_preprocessing(name: str) -> None:
    """Three equal clips of a sound of 2 s or less, each the reference's log-mel."""
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
    """Either the first channel is heard, or the mean of all."""
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
    """Less than a frame is filled up with silence."""
    settings = AudioSettings() if features is None else AudioSettings(features=features, frames=100)
    clips, _ = prepare(settings, np.ones(441, np.float32) * 0.1, 44_100)
    assert clips.shape[-1] == settings.frames
    assert torch.isfinite(clips).all()
