"""Sounds for look-alikes of data sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Ten short tones, .wav."""
    folder = tmp_path_factory.mktemp("tones")
    paths = []
    for index in range(10):
        wave_T = np.sin(np.arange(22_050) / 44_100 * 2 * np.pi * (200 + 100 * index))
        paths.append(folder / f"{index}.wav")
        soundfile.write(paths[-1], wave_T, 44_100)
    return paths
