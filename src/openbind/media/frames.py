"""Frames of a video: their times, and their pixels upright and square."""

from __future__ import annotations

import struct
from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from openbind.errors import InputError
from openbind.limits import check_limit, current_limits
from openbind.media.containers import demux_whole

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream
    from av.container import InputContainer

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

    times: tuple[int, ...]
    keys: tuple[int, ...]
    last_duration: int = 0
    counted: bool = False

    @classmethod
    def build(cls, container: InputContainer, stream: VideoStream, source: Any) -> FrameIndex:
        """Read through the file's packets without decoding."""
        packets: list[tuple[int | None, bool, int]] = []
        for packet in demux_whole(container, stream, source):
            if not packet.is_discard:
                packets.append((packet.pts, packet.is_keyframe, packet.duration or 0))
                check_limit("frames", len(packets), source)
        if not packets:
            raise InputError(source, "has no frames; truncated?")
        # AVI stores no presentation times, and FFmpeg's guesses are wrong for reordered frames.
        shown = sorted((time, duration) for time, _, duration in packets if time is not None)
        if container.format.name == "avi" or len(shown) < len(packets):
            return cls(tuple(range(len(packets))), (0,), counted=True)
        times = tuple(time for time, _ in shown)
        if stream.time_base is not None:
            check_limit("seconds", float((times[-1] - times[0]) * stream.time_base), source)
        keys = sorted(time for time, is_key, _ in packets if is_key and time is not None)
        return cls(times, tuple(keys) or (times[0],), shown[-1][1])

    def key_before(self, time: int) -> int:
        """Return the time of the last key frame at or before `time`."""
        return self.keys[max(0, bisect_right(self.keys, time) - 1)]


def _turning(frame: VideoFrame) -> tuple[bool, bool, bool]:
    """Return what makes a frame upright: transpose it, then reverse rows, then columns.

    Its display matrix [[a, b], [c, d]] moves a pixel (x, y) to (a·x + c·y, b·x + d·y).
    """
    from av.sidedata.sidedata import Type

    matrix = frame.side_data.get(Type.DISPLAYMATRIX)
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
    """Return frame_HWC uint8, upright, with square pixels; arguments as `upright_size`."""
    width, height = _square_size(frame, aspect)
    is_transposed, flips_rows, flips_columns = _turning(frame)
    if (width, height) != (frame.width, frame.height):
        frame = frame.reformat(width=width, height=height, format="rgb24")
    frame_HWC: np.ndarray = frame.to_ndarray(format="rgb24")
    if is_transposed:
        frame_HWC = frame_HWC.transpose(1, 0, 2)
    return frame_HWC[:: -1 if flips_rows else 1, :: -1 if flips_columns else 1]
