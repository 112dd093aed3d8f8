"""Frames become upright RGB arrays with square pixels, and are freed."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from openbind.media.frames import to_rgb, upright_size

STATUS = Path("/proc/self/status")


@pytest.mark.parametrize(
    ("aspect", "size"),
    [
        (None, (40, 30)),
        (Fraction(2), (80, 30)),
        (Fraction(1, 2), (40, 60)),
        (Fraction(999), (40, 30)),
    ],
)
def test_pixels_become_square(aspect: Fraction | None, size: tuple[int, int]) -> None:
    """One side is enlarged; an absurd ratio is ignored."""
    frame = av.VideoFrame.from_ndarray(np.zeros((30, 40, 3), np.uint8), format="rgb24")
    assert upright_size(frame, aspect) == size
    assert to_rgb(frame, aspect).shape == (size[1], size[0], 3)


@pytest.mark.parametrize(
    ("matrix", "upright"),
    [
        ((1, 0, 0, 1), [[1, 2], [3, 4]]),
        ((-1, 0, 0, 1), [[2, 1], [4, 3]]),
        ((1, 0, 0, -1), [[3, 4], [1, 2]]),
        ((0, 1, 1, 0), [[1, 3], [2, 4]]),
        ((0, 1, -1, 0), [[3, 1], [4, 2]]),
        ((0, -1, 1, 0), [[2, 4], [1, 3]]),
        ((0, -1, -1, 0), [[4, 2], [3, 1]]),
    ],
)
def test_display_matrices(
    matrix: tuple[int, int, int, int], upright: list[list[int]], tmp_path: Path
) -> None:
    """(a, b, c, d) moves the pixel (x, y) to (a·x + c·y, b·x + d·y), mirrored or not."""
    pixels = np.kron(np.array([[1, 2], [3, 4]], np.uint8) * 50, np.ones((32, 32), np.uint8))
    path = write_video(tmp_path / "turned.mp4", pixels, matrix)
    with av.open(path) as container:
        frame_HWC = to_rgb(next(container.decode(video=0)), None)
    assert np.rint(frame_HWC[16::32, 16::32, 0] / 50).tolist() == upright


@pytest.mark.skipif(not STATUS.exists(), reason="needs /proc")
def test_a_frame_is_freed(tmp_path: Path) -> None:
    """Looking at a frame's side data through the frame would keep both for ever."""
    path = write_video(tmp_path / "large.mp4", np.zeros((1024, 1024), np.uint8), (1, 0, 0, 1), 100)
    with av.open(path) as container:
        used = []
        for frame in container.decode(video=0):
            to_rgb(frame, None)
            used.append(int(STATUS.read_text().split("VmRSS:")[1].split()[0]))
    assert used[-1] - used[40] < 45_000, "60 frames of 1,536 kB each"


def write_video(
    path: Path, pixels_HW: np.ndarray, matrix: tuple[int, int, int, int], count: int = 1
) -> Path:
    """Write gray frames as MP4, with a display matrix in its track header."""
    height, width = pixels_HW.shape
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for _ in range(count):
            frame = av.VideoFrame.from_ndarray(np.repeat(pixels_HW[..., None], 3, 2), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    data = bytearray(path.read_bytes())
    a, b, c, d = (value << 16 for value in matrix)
    struct.pack_into(">9i", data, data.index(b"tkhd") + 44, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path
