"""Settings of audio bound the size of what one item becomes."""

from __future__ import annotations

import pytest

from openbind.modalities.audio_settings import AudioSettings
from openbind.signal.front_ends import Waveform


@pytest.mark.parametrize("features", [AudioSettings().features, Waveform(rate_hz=48_000)])
def test_too_many_numbers(features: object) -> None:
    """Each number may be in its range, and their product too large."""
    AudioSettings(features=features, clips=10)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="numbers"):
        AudioSettings(features=features, clips=1000, clip_samples=10_000_000)  # type: ignore[arg-type]
