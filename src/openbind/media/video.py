"""Video: files and bytes → single frames. Needs the extra "video" (PyAV)."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from openbind.errors import InputError
from openbind.media.containers import (
    DEFAULT_FPS,
    HEADER_TOLERANCE_SECONDS,
    demux_whole,
    ffmpeg_errors,
    header_seconds,
    open_container,
)
from openbind.media.image import MAX_PIXELS

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream
    from av.container import InputContainer

VIDEO_EXTENSIONS = frozenset([".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg"])
"""Extensions of video files, in lower case."""
MATROSKA, MPEG = b"\x1a\x45\xdf\xa3", b"\0\0\1\xba"
"""First bytes of mkv and webm (RFC 8794, 11.2.1), and of MPEG program streams (ISO 13818-1)."""
IMAGE_BRANDS = {b"avif", b"avis", b"mif1", b"msf1", b"heic", b"heix", b"heim", b"heis"}
"""Brands of AVIF and HEIF images, where mp4 and mov have their own (ISO 14496-12, 4.3)."""


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """Properties of a video.

    Args:
        frames: number of frames, counted.
        fps: average frame rate.
        width, height: of an upright frame, in pixels.
        has_audio: whether there is an audio track.
    """

    frames: int
    fps: Fraction
    width: int
    height: int
    has_audio: bool

    @property
    def seconds(self) -> Fraction:
        """Frames over average rate, as the reference counts (spec 3.2)."""
        return self.frames / self.fps


def is_video(source: Any) -> bool:
    """Return whether a path (by its extension) or bytes (by their signature) are a video."""
    if isinstance(source, str | os.PathLike):
        return Path(source).suffix.lower() in VIDEO_EXTENSIONS
    if not isinstance(source, bytes | bytearray | memoryview):
        return False
    head = bytes(source[:12])
    if head[4:8] == b"ftyp":
        return head[8:] not in IMAGE_BRANDS
    return head.startswith((MATROSKA, MPEG)) or (head[:4], head[8:]) == (b"RIFF", b"AVI ")


class OpenVideo:
    """A video file kept open: its packets are read through at most once, frames on demand.

    Frames in ascending order are decoded in one pass, over several calls too. Use it as a context
    manager, in one thread.

    Args:
        source: path or bytes.

    Raises:
        InputError: here and in every method: missing, empty, truncated, not a video, or frames
            too large.
        MissingExtraError: PyAV is not installed.
    """

    def __init__(self, source: Any) -> None:
        self.source = source
        self._container, self._stream, self._files = _open_stream(source)
        self._decoder: Iterator[tuple[int, VideoFrame]] = iter(())
        self._last: tuple[int, VideoFrame] | None = None

    def __enter__(self) -> OpenVideo:
        return self

    def __exit__(self, *error: object) -> None:
        self._files.close()

    @cached_property
    def _index(self) -> _FrameIndex:
        with ffmpeg_errors(self.source):
            return _FrameIndex.build(self._container, self._stream, self.source)

    @property
    def frame_count(self) -> int:
        """Number of frames, counted."""
        return len(self._index.times)

    @property
    def fps(self) -> Fraction:
        """Average frame rate."""
        return self._stream.average_rate or self._stream.guessed_rate or DEFAULT_FPS

    def info(self) -> VideoInfo:
        """Return the video's properties; one frame is decoded."""
        frames = self.frame_count
        with ffmpeg_errors(self.source):
            frame = next(self._decode([0]), None)
        if frame is None:
            raise InputError(self.source, "no frame could be decoded")
        height, width = frame.height, frame.width
        if _quarter_turns(frame) % 2:
            height, width = width, height
        has_audio = bool(self._container.streams.audio)
        return VideoInfo(
            frames=frames, fps=self.fps, width=width, height=height, has_audio=has_audio
        )

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        """Decode frames, each from the nearest key frame before it.

        Args:
            indices: in presentation order, from 0; in any order, repeated or not.

        Returns:
            frames_THWC uint8, RGB, upright, one for each index.

        Raises:
            InputError: as the class, or no such frame.
        """
        if not len(indices):
            raise InputError(self.source, "expected one frame index or more")
        wanted = sorted(set(indices))
        if wanted[0] < 0 or wanted[-1] >= self.frame_count:
            reason = f"has {self.frame_count} frames; no frames {wanted[0]} to {wanted[-1]}"
            raise InputError(self.source, reason)
        with ffmpeg_errors(self.source):
            # Decoding ends early where the file is truncated or its content can't be decoded.
            decoded = zip(wanted, self._decode(wanted), strict=False)
            images = {number: _to_rgb(frame) for number, frame in decoded}
        if len(images) < len(wanted):
            reason = f"frame {wanted[len(images)]} can't be decoded; truncated?"
            raise InputError(self.source, reason)
        if len({image.shape for image in images.values()}) > 1:
            raise InputError(self.source, "its frames change their size")
        return np.stack([images[number] for number in indices])

    def frame_at(self, select: Callable[[float], float]) -> np.ndarray:
        """Decode the frame shown at a moment, without reading the rest where the format allows.

        Args:
            select: (duration in seconds, by the header or counted) → moment in seconds. May be
                called twice.

        Returns:
            frame_HWC uint8, RGB, upright.
        """
        seconds = header_seconds(self._container, self._stream)
        if seconds is not None:
            self._last = None
            with ffmpeg_errors(self.source):
                frame = _seek_frame(self._container, self._stream, select(float(seconds)))
            if frame is not None:
                return _to_rgb(frame)
            # Frames are counted from the start of a fresh container.
            if "_index" not in self.__dict__:
                self._files.close()
                self._container, self._stream, self._files = _open_stream(self.source)
        moment = select(float(self.frame_count / self.fps))
        number = max(0, min(int(moment * self.fps), self.frame_count - 1))
        frame_HWC: np.ndarray = self.frames([number])[0]
        return frame_HWC

    def _decode(self, wanted: Sequence[int]) -> Iterator[VideoFrame]:
        """Yield the frames of ascending numbers; ends early where decoding does."""
        for time in (self._index.times[number] for number in wanted):
            key = self._index.key_before(time)
            # Forgotten while decoding, so that the frames after a broken one are sought again.
            last, self._last = self._last, None
            if last is None or not key <= last[0] <= time:
                self._decoder = self._decode_from(key)
                last = next(self._decoder, None)
            # Some codecs have packets that show nothing (VP8's golden frames): take the next frame.
            while last is not None and last[0] < time:
                last = next(self._decoder, None)
            if last is None:
                return
            self._last = last
            yield last[1]

    def _decode_from(self, key: int) -> Iterator[tuple[int, VideoFrame]]:
        """Decode (time, frame) from a key frame, or from the start if it can't be sought."""
        if self._index.counted:
            self._container.seek(0)
            yield from enumerate(self._container.decode(self._stream))
            return
        self._container.seek(key, stream=self._stream)
        frames = (f for f in self._container.decode(self._stream) if f.pts is not None)
        frame = next(frames, None)
        if frame is None or frame.pts > key:
            self._container.seek(0)
            frames = (f for f in self._container.decode(self._stream) if f.pts is not None)
            frame = next(frames, None)
        if frame is not None:
            yield frame.pts, frame
            yield from ((frame.pts, frame) for frame in frames)


def probe_video(source: Any) -> VideoInfo:
    """Count the frames of a path or bytes and read their size; one frame is decoded.

    Raises:
        InputError, MissingExtraError: as `OpenVideo`.
    """
    with OpenVideo(source) as video:
        return video.info()


def read_frames(source: Any, indices: Sequence[int]) -> np.ndarray:
    """Decode frames of a path or bytes, as `OpenVideo.frames`."""
    with OpenVideo(source) as video:
        return video.frames(indices)


def read_frame_at(source: Any, select: Callable[[float], float]) -> np.ndarray:
    """Decode the frame of a path or bytes that is shown at a moment, as `OpenVideo.frame_at`."""
    with OpenVideo(source) as video:
        return video.frame_at(select)


def measure_video(source: Any) -> float:
    """Return the duration in seconds over which a video has both images and audio.

    The headers usually have it; frames are counted where they don't (a webm recorded live).

    Args:
        source: path or bytes.

    Raises:
        InputError: missing, empty, not a video, or without audio.
        MissingExtraError: PyAV is not installed.
    """
    with open_container(source) as container:
        images = _video_stream(container, source)
        if not container.streams.audio:
            raise InputError(source, "has no audio track")
        tracks = (images, container.streams.audio[0])
        lengths = [float(t.duration * t.time_base) for t in tracks if t.duration and t.time_base]
        if not lengths and container.duration:
            lengths = [container.duration / 1_000_000]
    return min(lengths) if lengths else float(probe_video(source).seconds)


def _open_stream(source: Any) -> tuple[InputContainer, VideoStream, ExitStack]:
    """Open a file and its first video stream; closing the stack closes the file."""
    with ExitStack() as files:
        container = files.enter_context(open_container(source))
        return container, _video_stream(container, source), files.pop_all()


def _video_stream(container: InputContainer, source: Any) -> VideoStream:
    if not container.streams.video:
        raise InputError(source, "has no images; expected a video")
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise InputError(source, "FFmpeg has no decoder for its video codec")
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > MAX_PIXELS:
        raise InputError(source, f"frames of {width} × {height} pixels, more than {MAX_PIXELS:,}")
    stream.thread_type = "AUTO"
    return stream


def _seek_frame(
    container: InputContainer, stream: VideoStream, seconds: float
) -> VideoFrame | None:
    """Decode from the key frame before a moment; None where frames have to be counted."""
    target = (stream.start_time or 0) + round(seconds / stream.time_base)
    container.seek(target, stream=stream)
    shown = None
    for frame in container.decode(stream):
        if frame.pts is None or frame.pts > target:
            return shown
        shown = frame
    # The file ends here: at the end of the video, or because it is truncated.
    tolerance = HEADER_TOLERANCE_SECONDS + 1 / (stream.average_rate or DEFAULT_FPS)
    is_near = shown is not None and (target - shown.pts) * stream.time_base <= tolerance
    return shown if is_near else None


@dataclass(frozen=True)
class _FrameIndex:
    """Times of a video's frames.

    Args:
        times: presentation time of each frame in the stream's time base, in order; frame numbers
            if `counted`.
        keys: times of the key frames, in order.
        counted: the file has no reliable presentation times, so frames are counted while decoding.
    """

    times: tuple[int, ...]
    keys: tuple[int, ...]
    counted: bool = False

    @classmethod
    def build(cls, container: InputContainer, stream: VideoStream, source: Any) -> _FrameIndex:
        """Read through the file's packets without decoding."""
        packets = [
            (packet.pts, packet.is_keyframe)
            for packet in demux_whole(container, stream, source)
            if not packet.is_discard
        ]
        if not packets:
            raise InputError(source, "has no frames; truncated?")
        # AVI stores no presentation times, and FFmpeg's guesses are wrong for reordered frames.
        times = sorted(time for time, _ in packets if time is not None)
        if container.format.name == "avi" or len(times) < len(packets):
            return cls(tuple(range(len(packets))), (0,), counted=True)
        keys = sorted(time for time, is_key in packets if is_key and time is not None)
        return cls(tuple(times), tuple(keys) or (times[0],))

    def key_before(self, time: int) -> int:
        """Return the time of the last key frame at or before `time`."""
        return self.keys[max(0, bisect_right(self.keys, time) - 1)]


def _quarter_turns(frame: VideoFrame) -> int:
    """Return how many turns by 90° counter-clockwise make a frame upright."""
    turns: int = round(frame.rotation / 90) % 4
    return turns


def _to_rgb(frame: VideoFrame) -> np.ndarray:
    return np.rot90(frame.to_ndarray(format="rgb24"), _quarter_turns(frame))
