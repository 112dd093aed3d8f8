"""An audio track in any container."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
import pytest


@pytest.fixture(scope="session")
def chirp() -> Callable[..., bytes]:
    """Return (container, codec, index_first=False) → bytes of `encode_chirp`."""
    return encode_chirp


@lru_cache
def encode_chirp(kind: str, codec: str, index_first: bool = False) -> bytes:
    """12 s of a rising tone at 48 kHz, where no two moments are alike."""
    seconds = np.arange(12 * 48_000) / 48_000
    tone = (0.4 * np.sin(2 * np.pi * (200 + 50 * seconds) * seconds)).astype(np.float32)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "sound"
        options = {"movflags": "faststart"} if index_first else {}
        with av.open(str(path), "w", format=kind, container_options=options) as container:
            stream = container.add_stream(codec, rate=48_000, layout="mono")
            formats = av.AudioResampler(format=stream.codec_context.format, rate=48_000)
            frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
            frame.rate, frame.time_base, frame.pts = 48_000, Fraction(1, 48_000), 0
            for part in formats.resample(frame):
                container.mux(stream.encode(part))
            container.mux(stream.encode(None))
        return path.read_bytes()
