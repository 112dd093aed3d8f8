"""A small film with sound, from which every frame and every sample can be told."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

FRAMES, FPS, RATE = 40, 10, 8_000


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """4 s of 48 × 96 pixels, coded without loss.

    Frame i has 6 · i in its left half and 255 in its right; sample n of the sound is n / 32,768.
    """
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    samples = np.arange(FRAMES * RATE // FPS, dtype=np.int16)[None]
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("ffv1", rate=FPS)
        pictures.width, pictures.height, pictures.pix_fmt = 96, 48, "bgr0"
        sound = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for number in range(FRAMES):
            grey = np.full((48, 96, 3), 6 * number, np.uint8)
            grey[:, 48:] = 255
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(pictures.encode(frame))
        wave = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        wave.rate = RATE
        container.mux([*pictures.encode(None), *sound.encode(wave), *sound.encode(None)])
    return path
