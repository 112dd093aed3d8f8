"""Every limit rejects what exceeds it, by the header alone, and accepts what just fits."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from openbind.serving.limits import Limits, TooLargeError, check_item


def image(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("L", (width, height)).save(out, "PNG")
    return out.getvalue()


def audio(seconds: float, channels: int = 1) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, np.zeros((int(seconds * 8000), channels), np.int16), 8000, format="WAV")
    return out.getvalue()


def video(seconds: int, size: int = 32) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(5))
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        for _ in range(seconds * 5):
            frame = av.VideoFrame.from_ndarray(np.zeros((size, size, 3), np.uint8))
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return out.getvalue()


def table(seconds: float, rows: int = 10) -> bytes:
    times = np.linspace(0, seconds, rows)
    return ("Seconds,a\n" + "".join(f"{t},1\n" for t in times)).encode()


def arrays(values: int) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, a=np.zeros(values))
    return out.getvalue()


@pytest.mark.parametrize(
    ("limits", "accepted", "rejected", "expected"),
    [
        (Limits(characters=5), "abcde", "abcdef", "6 characters"),
        (Limits(pixels=600), image(30, 20), image(30, 21), "30 × 21 pixels"),
        (Limits(seconds=2), audio(2), audio(2.5), "limit of 2 s"),
        (Limits(samples=32_000), audio(2, 2), audio(2, 3), "48,000 samples"),
        (Limits(seconds=3), video(3), video(4), "limit of 3 s"),
        (Limits(pixels=2000), video(1), video(1, 64), "64 × 64 pixels"),
        (Limits(seconds=4), table(4), table(4.5), "limit of 4 s"),
        (Limits(rows=20), table(9), table(9, 30), "31 rows"),
        (Limits(array_bytes=9000), arrays(1000), arrays(2000), "uncompressed bytes"),
    ],
)
def test_limits(
    limits: Limits, accepted: str | bytes, rejected: str | bytes, expected: str
) -> None:
    """Text, image, audio, video, table, arrays."""
    check_item(accepted, limits)
    with pytest.raises(TooLargeError, match=expected):
        check_item(rejected, limits)


@pytest.mark.parametrize("content", [b"", b"x", b"\0" * 50, b"seconds,a\nx,y\n", b"PK\x03\x04..."])
def test_broken_files_are_left_to_decoders(content: bytes) -> None:
    """Decoders know better what is wrong with them."""
    check_item(content, Limits())


def test_real_files_are_accepted(media: Path) -> None:
    """The default limits accept ordinary files."""
    for path in (path for path in media.iterdir() if path.is_file()):
        check_item(path.read_bytes(), Limits())


def test_a_video_without_a_duration_in_its_header() -> None:
    """A video written to a pipe is measured by its packets."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.content = b""

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.content += bytes(data)
            return len(data)

    pipe = Pipe()
    with av.open(io.BytesIO(video(4))) as source, av.open(pipe, "w", format="matroska") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    with av.open(io.BytesIO(pipe.content)) as container:
        assert not container.duration
    with pytest.raises(TooLargeError, match="limit of 3 s"):
        check_item(pipe.content, Limits(seconds=3))
