"""Frames of a video: their times, how many may be decoded, their pixels upright and square."""

from __future__ import annotations

import os
import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from openbind.errors import InputError
from openbind.limits import FREE_PIXELS, check_limit, check_sides, current_limits
from openbind.media.containers import demux_whole, find_images, open_container

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream
    from av.container import InputContainer

SHOWN_PIXELS = 1920 * 1088
"""Pixels of a frame that are kept; those of 4K are scaled down as they are converted to RGB."""
LARGE_FRAME, THREADS = 1 << 21, 2
"""Pixels of a frame from which on a decoder has few threads."""
MAX_ASPECT = 50
"""Largest ratio of a pixel's sides that is believed."""


@dataclass(frozen=True)
class FrameIndex:
    """Times of a video's frames.

    Args:
        times: presentation time of each frame in the stream's time base, in order; frame numbers
            if `counted`.
        keys: times of the key frames, in order.
        last_duration: of the last frame, in the same unit; 0 if unknown.
        counted: the file has no reliable presentation times, so frames are counted while decoding.
    """

    times: Sequence[int]
    keys: Sequence[int]
    last_duration: int = 0
    counted: bool = False

    @classmethod
    def build(cls, container: InputContainer, stream: VideoStream, source: Any) -> FrameIndex:
        """Read through the file's packets without decoding."""
        times, keys = array("q"), array("q")
        count, last_duration = 0, 0
        for packet in demux_whole(container, stream, source):
            if packet.is_discard:
                continue
            count += 1
            check_limit("frames", count, source)
            if packet.pts is None:
                continue
            if packet.pts >= max(times[-1:], default=packet.pts):
                last_duration = packet.duration or 0
            times.append(packet.pts)
            if packet.is_keyframe:
                keys.append(packet.pts)
        if not count:
            raise InputError(source, "has no frames; truncated?")
        # AVI stores no presentation times, and FFmpeg's guesses are wrong for reordered frames.
        if container.format.name == "avi" or len(times) < count:
            return cls(range(count), (0,), counted=True)
        times = array("q", sorted(times))
        if stream.time_base is not None:
            check_limit("seconds", float((times[-1] - times[0]) * stream.time_base), source)
        return cls(times, array("q", sorted(keys)) or times[:1], last_duration)

    def frames_to(self, time: int, after: int | None) -> int:
        """Return how many frames are decoded to get to the one of a time.

        Args:
            time: of the frame.
            after: time of the last frame that was decoded; None if there is none.
        """
        key = self.key_before(time)
        wanted = bisect_left(self.times, time)
        if after is not None and key <= after <= time:
            return wanted - bisect_left(self.times, after)
        return wanted - bisect_left(self.times, key) + 1

    def key_before(self, time: int) -> int:
        """Return the time of the last key frame at or before `time`."""
        return self.keys[max(0, bisect_right(self.keys, time) - 1)]


class FrameBudget:
    """Counts the frames that are decoded for a part of a video, against the limits of their pixels.

    Args:
        source: path or bytes.
        pixels: of one frame.
    """

    def __init__(self, source: Any, pixels: int) -> None:
        self.source, self.pixels = source, pixels
        is_path = isinstance(source, str | os.PathLike)
        self.bytes = Path(source).expanduser().stat().st_size if is_path else len(source)
        self._decoded = 0

    def start(self, frames: int = 0) -> None:
        """Begin a part, and check how many frames it will need.

        Raises:
            LimitError: too many.
        """
        self._decoded = 0
        self._check(frames)

    def count(self) -> None:
        """Count a frame that was decoded.

        Raises:
            LimitError: there are too many.
        """
        self._decoded += 1
        self._check(self._decoded)

    def _check(self, frames: int) -> None:
        pixels = frames * self.pixels
        shown = f"{frames:,} frames of {self.pixels:,} pixels to decode"
        check_limit("decoded_pixels", pixels, self.source, shown)
        ratio = (pixels - FREE_PIXELS) / max(self.bytes, 1)
        check_limit("pixels_per_byte", ratio, self.source, f"{shown} from {self.bytes:,} bytes")


def _turning(frame: VideoFrame) -> tuple[bool, bool, bool]:
    """Return what makes a frame upright: transpose it, then reverse rows, then columns.

    Its display matrix [[a, b], [c, d]] moves a pixel (x, y) to (a·x + c·y, b·x + d·y).
    """
    from av.sidedata.sidedata import SideDataContainer, Type

    # `frame.side_data` would be kept by its frame and keep it: neither would ever be freed.
    matrix = SideDataContainer(frame).get(Type.DISPLAYMATRIX)  # type: ignore[call-arg]
    if matrix is None:
        return False, False, False
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(matrix)[:36])
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return False, d < 0, a < 0
    return True, b < 0, c < 0


def _square_size(frame: VideoFrame, aspect: Fraction | None) -> tuple[int, int]:
    """Return width and height of a frame, not yet upright, with square pixels."""
    aspect = aspect or Fraction(1)
    if not Fraction(1, MAX_ASPECT) < aspect < MAX_ASPECT:
        aspect = Fraction(1)
    # One side is enlarged, so that no pixel is lost.
    width, height = round(frame.width * max(aspect, 1)), round(frame.height / min(aspect, 1))
    is_small = width * height <= current_limits().frame_pixels
    return (width, height) if is_small else (frame.width, frame.height)


def upright_size(frame: VideoFrame, aspect: Fraction | None) -> tuple[int, int]:
    """Return width and height of an upright frame.

    Args:
        frame: as decoded.
        aspect: width of a pixel over its height; None is 1.
    """
    width, height = _square_size(frame, aspect)
    return (height, width) if _turning(frame)[0] else (width, height)


def to_rgb(frame: VideoFrame, aspect: Fraction | None) -> np.ndarray:
    """Return frame_HWC uint8, upright, with square pixels; arguments as `upright_size`.

    Frames of more than `SHOWN_PIXELS` are halved until they are smaller.
    """
    width, height = _square_size(frame, aspect)
    scaling = "BILINEAR"
    while width * height > SHOWN_PIXELS:
        width, height, scaling = -(-width // 2), -(-height // 2), "AREA"
    is_transposed, flips_rows, flips_columns = _turning(frame)
    if (width, height) != (frame.width, frame.height):
        frame = frame.reformat(width=width, height=height, format="rgb24", interpolation=scaling)
    frame_HWC: np.ndarray = frame.to_ndarray(format="rgb24")
    if is_transposed:
        frame_HWC = frame_HWC.transpose(1, 0, 2)
    return frame_HWC[:: -1 if flips_rows else 1, :: -1 if flips_columns else 1]


def open_stream(source: Any) -> tuple[InputContainer, VideoStream, ExitStack]:
    """Open a path or bytes and its default track of images; closing the stack closes the file.

    Raises:
        InputError, MissingExtraError: as `OpenVideo`.
    """
    with ExitStack() as files:
        container = files.enter_context(open_container(source))
        return container, video_stream(container, source), files.pop_all()


def video_stream(container: InputContainer, source: Any) -> VideoStream:
    """Return the default track of images of an open file, which has frames of allowed size.

    Raises:
        InputError: it has none, or of an unknown codec, or frames too large.
    """
    stream = find_images(container)
    if stream is None:
        raise InputError(source, "has no images; expected a video")
    if stream.codec_context is None:
        raise InputError(source, "FFmpeg has no decoder for its video codec")
    width, height = stream.codec_context.width, stream.codec_context.height
    check_sides(width, height, source, "frame_pixels")
    stream.thread_type = "AUTO"
    if width * height > LARGE_FRAME:
        # Each thread holds a frame, and there may be as many as cores.
        stream.codec_context.thread_count = THREADS
    return stream
