"""Video: files and bytes → single frames. Needs the extra "video" (PyAV)."""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
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
    ffmpeg_errors,
    find_audio,
    header_seconds,
    is_repeat,
    open_container,
)
from openbind.media.frames import (
    FrameBudget,
    FrameIndex,
    open_stream,
    to_rgb,
    upright_size,
    video_stream,
)

if TYPE_CHECKING:
    from av import VideoFrame

# fmt: off
VIDEO_EXTENSIONS = frozenset([
    ".3g2", ".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov",
    ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv",
])
# fmt: on
"""Extensions of video files, in lower case."""
MATROSKA, MPEG = b"\x1a\x45\xdf\xa3", b"\0\0\1\xba"
"""First bytes of mkv and webm (RFC 8794, 11.2.1), and of MPEG program streams (ISO 13818-1)."""
IMAGE_BRANDS = {b"avif", b"avis", b"mif1", b"msf1", b"heic", b"heix", b"heim", b"heis", b"crx "}
"""Brands of AVIF, HEIF and CR3 images, where mp4 and mov have their own (ISO 14496-12, 4.3)."""


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """Properties of a video.

    Args:
        frames: number of frames, counted.
        fps: average frame rate.
        width, height: of an upright frame, in square pixels.
        has_audio: whether there is an audio track.
        seconds: as `OpenVideo.seconds`.
    """

    frames: int
    fps: Fraction
    width: int
    height: int
    has_audio: bool
    seconds: Fraction


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
        self._container, self._stream, self._files = open_stream(source)
        self._decoder: Iterator[tuple[int, VideoFrame]] = iter(())
        self._last: tuple[int, VideoFrame] | None = None
        context = self._stream.codec_context
        self._budget = FrameBudget(source, context.width * context.height)

    def __enter__(self) -> OpenVideo:
        return self

    def __exit__(self, *error: object) -> None:
        self._files.close()

    @cached_property
    def _index(self) -> FrameIndex:
        with ffmpeg_errors(self.source):
            return FrameIndex.build(self._container, self._stream, self.source)

    @property
    def frame_count(self) -> int:
        """Number of frames, counted."""
        return len(self._index.times)

    @property
    def fps(self) -> Fraction:
        """Average frame rate."""
        return self._stream.average_rate or self._stream.guessed_rate or DEFAULT_FPS

    @property
    def seconds(self) -> Fraction:
        """Duration: frames over average rate, as the reference counts (spec 3.2).

        Where frames don't follow each other at a constant rate, it is the time over which they are
        shown.
        """
        times = self.times
        return self.frame_count / self.fps if times is None else times[-1]

    @cached_property
    def times(self) -> tuple[Fraction, ...] | None:
        """When each frame is shown and when the last one ends, in seconds from the first.

        None if the rate is constant: no frame is more than the duration of one away from its
        number over the average rate.
        """
        index, unit = self._index, self._stream.time_base
        if index.counted or unit is None:
            return None
        first = index.times[0]
        # Integers, as a long video has hundreds of thousands of frames.
        ticks, rate = (self.fps * unit).as_integer_ratio()
        numbers = enumerate(index.times)
        if all(abs((time - first) * ticks - number * rate) <= rate for number, time in numbers):
            return None
        length = index.last_duration or round(1 / (self.fps * unit))
        end = index.times[-1] + max(1, length)
        return tuple((time - first) * unit for time in (*index.times, end))

    def frame_at_time(self, seconds: Fraction | float) -> int:
        """Return the number of the frame that is shown at a moment, the nearest one outside."""
        if self.times is None:
            return max(0, min(int(seconds * self.fps), self.frame_count - 1))
        return max(0, min(bisect_right(self.times, seconds), self.frame_count) - 1)

    def frames_between(self, start: Fraction, end: Fraction, count: int) -> list[int]:
        """Spread frames of a variable rate evenly over a span of time.

        Args:
            start, end: in seconds.
            count: of frames: the first is shown at the start, the last is the last before the end.

        Raises:
            ValueError: the rate is constant; see `signal.clips.frame_indices`.
        """
        if self.times is None:
            raise ValueError("the frame rate is constant")
        first = self.frame_at_time(start)
        last = max(first, min(bisect_left(self.times, end), self.frame_count) - 1)
        length = max(self.times[last] - start, Fraction(0))
        steps = max(count - 1, 1)
        return [first, *(self.frame_at_time(start + i * length / steps) for i in range(1, count))]

    def info(self) -> VideoInfo:
        """Return the video's properties; one frame is decoded."""
        frames = self.frame_count
        self._budget.start()
        with ffmpeg_errors(self.source):
            frame = next(self._decode([0]), None)
        if frame is None:
            raise InputError(self.source, "no frame could be decoded")
        width, height = upright_size(frame, self._stream.sample_aspect_ratio)
        return VideoInfo(
            frames=frames,
            fps=self.fps,
            width=width,
            height=height,
            has_audio=find_audio(self._container) is not None,
            seconds=self.seconds,
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
        wanted = sorted(set(indices))
        images = dict(zip(wanted, self.iterate(wanted), strict=True))
        return np.stack([images[number] for number in indices])

    def iterate(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
        """Decode frames as `frames`, one at a time.

        Args:
            indices: in ascending order, each once.

        Yields:
            frame_HWC of each index, all of the same size.

        Raises:
            InputError: as `frames`.
        """
        if not len(indices):
            raise InputError(self.source, "expected one frame index or more")
        if indices[0] < 0 or indices[-1] >= self.frame_count:
            reason = f"has {self.frame_count} frames; no frames {indices[0]} to {indices[-1]}"
            raise InputError(self.source, reason)
        done, shape = 0, None
        self._budget.start(self._frames_to_decode(indices))
        with ffmpeg_errors(self.source):
            # Decoding ends early where the file is truncated or its content can't be decoded.
            for frame in self._decode(indices):
                frame_HWC = to_rgb(frame, self._stream.sample_aspect_ratio)
                if shape not in (None, frame_HWC.shape):
                    raise InputError(self.source, "its frames change their size")
                done, shape = done + 1, frame_HWC.shape
                yield frame_HWC
        if done < len(indices):
            raise InputError(self.source, f"frame {indices[done]} can't be decoded; truncated?")

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
            self._budget.start()
            with ffmpeg_errors(self.source):
                frame = self._seek_frame(select(float(seconds)))
            if frame is not None:
                return to_rgb(frame, self._stream.sample_aspect_ratio)
            # Frames are counted from the start of a fresh container.
            if "_index" not in self.__dict__:
                self._files.close()
                self._container, self._stream, self._files = open_stream(self.source)
        number = self.frame_at_time(select(float(self.seconds)))
        frame_HWC: np.ndarray = self.frames([number])[0]
        return frame_HWC

    def _frames_to_decode(self, indices: Sequence[int]) -> int:
        """Return how many frames have to be decoded for some, by the key frames before them."""
        count, last = 0, None if self._last is None else self._last[0]
        for time in (self._index.times[number] for number in indices):
            count, last = count + self._index.frames_to(time, last), time
        return count

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

    def _seek_frame(self, seconds: float) -> VideoFrame | None:
        """Decode from the key frame before a moment; None where frames have to be counted."""
        stream = self._stream
        target = (stream.start_time or 0) + round(seconds / stream.time_base)
        self._container.seek(target, stream=stream)
        shown = None
        for frame in self._container.decode(stream):
            self._budget.count()
            if frame.pts is None or frame.pts > target:
                return shown
            shown = frame
        # The file ends here: at the end of the video, or because it is truncated.
        tolerance = HEADER_TOLERANCE_SECONDS + 1 / (stream.average_rate or DEFAULT_FPS)
        is_near = shown is not None and (target - shown.pts) * stream.time_base <= tolerance
        return shown if is_near else None

    def _decode_from(self, key: int) -> Iterator[tuple[int, VideoFrame]]:
        """Decode (time, frame) from a key frame, or from the start if it can't be sought."""
        if self._index.counted:
            self._container.seek(0)
            yield from enumerate(frame for _, frame in self._decode_packets())
            return
        self._container.seek(key, stream=self._stream)
        frames = self._decode_packets()
        first = next(frames, None)
        if first is None or first[0] > key:
            self._container.seek(0)
            frames = self._decode_packets()
            first = next(frames, None)
        if first is not None:
            yield first
            yield from frames

    def _decode_packets(self) -> Iterator[tuple[int, VideoFrame]]:
        """Decode (time, frame) from where the container is; without times if frames are counted."""
        last = None
        for packet in self._container.demux(self._stream):
            if is_repeat(packet):
                # An empty packet would end the decoder.
                if last is not None and packet.pts is not None:
                    yield packet.pts, last
                continue
            for frame in packet.decode():
                self._budget.count()
                last = frame
                if frame.pts is not None or self._index.counted:
                    yield frame.pts or 0, frame


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
        images, sound = video_stream(container, source), find_audio(container)
        if sound is None:
            raise InputError(source, "has no audio track")
        tracks = (images, sound)
        lengths = [float(t.duration * t.time_base) for t in tracks if t.duration and t.time_base]
        if not lengths and container.duration:
            lengths = [container.duration / 1_000_000]
    return min(lengths) if lengths else float(probe_video(source).seconds)
