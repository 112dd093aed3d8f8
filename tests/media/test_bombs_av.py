"""Small files of audio and video that claim or decode to much cost little, or are refused."""

from __future__ import annotations

import io
import struct
import time
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile

from openbind.errors import InputError, LimitError
from openbind.limits import LIBRARY, SERVICE
from openbind.modalities import MODALITIES
from openbind.modalities.audio_settings import AudioSettings
from openbind.modalities.video import VideoSettings

SECONDS = 20.0
"""Time of the processor that one file may take."""


def wav(rate_hz: int, samples: int, channels: int = 1) -> bytes:
    size = 2 * samples * channels
    fields = (16, 1, channels, rate_hz, 2 * rate_hz * channels & 0xFFFFFFFF, 2 * channels, 16)
    head = b"WAVEfmt " + struct.pack("<IHHIIHH", *fields) + b"data" + struct.pack("<I", size)
    return b"RIFF" + struct.pack("<I", len(head) + size) + head + bytes(size)


def flac(seconds: int, channels: int, rate_hz: int = 44_100) -> bytes:
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", rate_hz, channels, format="FLAC") as file:
        for _ in range(seconds):
            file.write(np.zeros((rate_hz, channels), np.int16))
    return buffer.getvalue()


def lying_flac() -> bytes:
    """One second that says it has 2^36 - 2 samples (RFC 9639, 8.2)."""
    data = bytearray(flac(1, 1))
    data[21] |= 0x0F
    data[22:26] = b"\xff\xff\xff\xfe"
    return bytes(data)


def mp3(seconds: int) -> bytes:
    """Constant bit rate without a header that says the length; its first frame says 160 kbit/s."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp3", options={"write_xing": "0"}) as container:
        stream = container.add_stream("mp3", rate=8_000, bit_rate=8_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8_000 * 4), np.int16), layout="mono")
        frame.sample_rate = 8_000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return buffer.getvalue() * (seconds // 4)


def gif(side: int, frames: int) -> bytes:
    """Frames of one pixel on a large screen (GIF89a, 18 to 23)."""
    head = b"GIF89a" + struct.pack("<HH", side, side) + b"\x80\0\0" + b"\0\0\0\xff\xff\xff"
    control = b"\x21\xf9\x04\0\x0a\0\0\0"
    image = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0"
    return head + (control + image) * frames + b"\x3b"


def still(side: int, frames: int) -> bytes:
    """A video of one key frame, whose other frames say that nothing changed."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(25))
        stream.width = stream.height = side
        stream.pix_fmt, stream.gop_size = "yuv420p", 100_000
        image = av.VideoFrame.from_ndarray(np.zeros((side, side, 3), np.uint8))
        packets = [bytes(p) for _ in range(3) for p in stream.encode(image)]
        for number in range(frames):
            packet = av.Packet(packets[min(number, 1)])
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = number
            packet.is_keyframe = number == 0
            container.mux(packet)
    return buffer.getvalue()


BOMBS: dict[str, tuple[str, Callable[[], bytes], str | None]] = {
    "rate of 2 GHz": ("audio", lambda: wav(2_000_000_000, 16_000), "max_rate_hz"),
    "rate of 999,983 Hz": ("audio", lambda: wav(999_983, 400_000), None),
    "rate of 2 Hz": ("audio", lambda: wav(2, 600), "min_rate_hz"),
    "rate of 51 Hz": ("audio", lambda: wav(51, 15_000), None),
    "1,000 channels": ("audio", lambda: wav(8_000, 100, 1_000), "channels"),
    "8 channels of silence": ("audio", lambda: flac(599, 8), None),
    "FLAC whose length lies": ("audio", lying_flac, "seconds"),
    "long MP3": ("audio", lambda: mp3(1_600), None),
    "GIF of 8000 × 8000": ("video", lambda: gif(8_000, 300), "frame_pixels"),
    "GIF of 6000 × 6000": ("video", lambda: gif(6_000, 300), "pixels_per_byte"),
    "GIF of 100,000 frames": ("video", lambda: gif(2_000, 100_000), "decoded_pixels"),
    "one key frame": ("video", lambda: still(4_096, 3_000), "decoded_pixels"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(name: str) -> None:
    """Each is read in a few seconds, or refused by the limit that it exceeds."""
    modality, make, limit = BOMBS[name]
    settings = {"audio": AudioSettings(), "video": VideoSettings()}[modality]
    data, preprocess = make(), MODALITIES.get(modality).prepare(settings, None)
    start, found = time.process_time(), None
    with LIBRARY.applied():
        try:
            assert len(preprocess(data).clips)
        except LimitError as error:
            found = error.limit
    assert found == limit
    assert time.process_time() - start < SECONDS


@pytest.mark.parametrize("make", [lambda: mp3(700), lambda: flac(601, 1)])
def test_the_service_counts_seconds_while_decoding(make: Callable[[], bytes]) -> None:
    """Also where the header says nothing of them."""
    preprocess = MODALITIES.get("audio").prepare(AudioSettings(), None)
    with SERVICE.applied(), pytest.raises(LimitError) as caught:
        preprocess(make())
    assert caught.value.limit == "seconds"


def test_a_header_reserves_no_memory() -> None:
    """A FLAC of a second that says it lasts 20 hours is truncated, whatever the memory."""
    data = bytearray(flac(1, 1))
    data[22:26] = (72_000 * 44_100).to_bytes(4, "big")
    preprocess = MODALITIES.get("audio").prepare(AudioSettings(), None)
    with pytest.raises(InputError, match=r"truncated|broken"):
        preprocess(bytes(data))
