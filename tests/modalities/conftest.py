"""A small video with audio, whose frames and samples have known values."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

FRAMES, FPS, RATE = 40, 10, 8_000


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """4 s of 48 × 96 pixels, coded without loss.

    Frame i has 6 · i in its left half and 255 in its right; sample n of the sound is n / 32,768.
    """
    path = tmp_path_factory.mktemp("video") / "video.mkv"
    samples = np.arange(FRAMES * RATE // FPS, dtype=np.int16)[None]
    with av.open(str(path), "w") as container:
        images = container.add_stream("ffv1", rate=FPS)
        images.width, images.height, images.pix_fmt = 96, 48, "bgr0"
        sound = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for number in range(FRAMES):
            gray = np.full((48, 96, 3), 6 * number, np.uint8)
            gray[:, 48:] = 255
            frame = av.VideoFrame.from_ndarray(gray, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(images.encode(frame))
        wave = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        wave.rate = RATE
        container.mux([*images.encode(None), *sound.encode(wave), *sound.encode(None)])
    return path
