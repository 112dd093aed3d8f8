"""Video: files and bytes → single frames. Needs the extra "video" (PyAV)."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from openbind.errors import InputError
from openbind.media.containers import (
    LOST_SECONDS,
    USUAL_FPS,
    demux_whole,
    open_container,
    said_seconds,
)
from openbind.media.image import MAX_PIXELS

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream
    from av.container import InputContainer

VIDEO_EXTENSIONS = frozenset([".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg"])
"""Extensions of files that hold a video, in lower case."""
MATROSKA, MPEG = b"\x1a\x45\xdf\xa3", b"\0\0\1\xba"
"""First bytes of mkv and webm (RFC 8794, 11.2.1), and of MPEG program streams (ISO 13818-1)."""
IMAGE_BRANDS = {b"avif", b"avis", b"mif1", b"msf1", b"heic", b"heix", b"heim", b"heis"}
"""What AVIF and HEIF images say where mp4 and mov say their own brand (ISO 14496-12, 4.3)."""


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What a video is, without its frames.

    Args:
        frames: how many there are, counted.
        fps: average rate.
        width, height: of an upright frame, in pixels.
        has_audio: whether there is a sound track.
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
    """Return a video from a image: a path by its extension, bytes by how they begin."""
    if isinstance(source, str | os.PathLike):
        return Path(source).suffix.lower() in VIDEO_EXTENSIONS
    if not isinstance(source, bytes | bytearray | memoryview):
        return False
    head = bytes(source[:12])
    if head[4:8] == b"ftyp":
        return head[8:] not in IMAGE_BRANDS
    return head.startswith((MATROSKA, MPEG)) or (head[:4], head[8:]) == (b"RIFF", b"AVI ")


def probe_video(source: Any) -> VideoInfo:
    """Count frames and read the sizes; one frame is decoded.

    Args:
        source: path or bytes.

    Raises:
        InputError: missing, empty, truncated, not a video, or frames too large.
        MissingExtraError: PyAV isn't there.
    """
    with open_container(source) as container:
        stream = _video_stream(container, source)
        index = _FrameIndex.build(container, stream, source)
        frame = next(_frames_at(container, stream, index, [0]), None)
        if frame is None:
            raise InputError(source, "not one frame could be decoded")
        height, width = (frame.height, frame.width)
        if _quarter_turns(frame) % 2:
            height, width = width, height
        return VideoInfo(
            frames=len(index.times),
            fps=stream.average_rate or stream.guessed_rate or USUAL_FPS,
            width=width,
            height=height,
            has_audio=bool(container.streams.audio),
        )


def measure_video(source: Any) -> float:
    """Return how many seconds of a video have both images and sound.

    The headers say so as a rule; where they don't (a webm that was recorded live), the frames are
    counted.

    Args:
        source: path or bytes.

    Raises:
        InputError: missing, empty, not a video, or without sound.
        MissingExtraError: PyAV isn't there.
    """
    with open_container(source) as container:
        images = _video_stream(container, source)
        if not container.streams.audio:
            raise InputError(source, "has no sound track")
        tracks = (images, container.streams.audio[0])
        lengths = [float(t.duration * t.time_base) for t in tracks if t.duration and t.time_base]
        if not lengths and container.duration:
            lengths = [container.duration / 1_000_000]
    return min(lengths) if lengths else float(probe_video(source).seconds)


def read_frames(source: Any, indices: Sequence[int]) -> np.ndarray:
    """Decode some frames, from the nearest key frame before each.

    Args:
        source: path or bytes.
        indices: numbers of frames in the order of showing, from 0; in any order, repeated or not.

    Returns:
        frames_THWC uint8, RGB, upright, one for each index.

    Raises:
        InputError: missing, empty, truncated, not a video, or no such frame.
        MissingExtraError: PyAV isn't there.
    """
    if not len(indices):
        raise InputError(source, "no frames were asked for")
    with open_container(source) as container:
        stream = _video_stream(container, source)
        index = _FrameIndex.build(container, stream, source)
        wanted = sorted(set(indices))
        if wanted[0] < 0 or wanted[-1] >= len(index.times):
            found = f"frames {wanted[0]} to {wanted[-1]} were asked for"
            raise InputError(source, f"{found}, there are {len(index.times)}")
        frames = _frames_at(container, stream, index, wanted)
        # An iterator may end early: the file is cut, or what it holds can't be decoded.
        images = {number: _to_rgb(frame) for number, frame in zip(wanted, frames, strict=False)}
    if len(images) < len(wanted):
        raise InputError(source, f"frame {wanted[len(images)]} can't be decoded; truncated?")
    if len({image.shape for image in images.values()}) > 1:
        raise InputError(source, "its frames change their size on the way")
    return np.stack([images[number] for number in indices])


def read_frame_at(source: Any, choose: Callable[[float], float]) -> np.ndarray:
    """Decode the one frame that is shown at a moment, without reading the rest where that will do.

    Args:
        source: path or bytes.
        choose: is told how many seconds the video lasts, by the header or counted, and gives the
            moment in seconds.

    Returns:
        frame_HWC uint8, RGB, upright.

    Raises:
        InputError: missing, empty, truncated, or not a video.
        MissingExtraError: PyAV isn't there.
    """
    with open_container(source) as container:
        stream = _video_stream(container, source)
        said = said_seconds(container, stream)
        if said is not None:
            frame = _seek_frame(container, stream, choose(float(said)))
            if frame is not None:
                return _to_rgb(frame)
    info = probe_video(source)
    number = max(0, min(int(choose(float(info.seconds)) * info.fps), info.frames - 1))
    frame_HWC: np.ndarray = read_frames(source, [number])[0]
    return frame_HWC


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
    # The file ends here: with the video, or because it was cut.
    lasts = LOST_SECONDS + 1 / (stream.average_rate or USUAL_FPS)
    near = shown is not None and (target - shown.pts) * stream.time_base <= lasts
    return shown if near else None


def _video_stream(container: InputContainer, source: Any) -> VideoStream:
    if not container.streams.video:
        raise InputError(source, "has no images; expected a video")
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise InputError(source, "its images are coded in a way that FFmpeg doesn't know")
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > MAX_PIXELS:
        raise InputError(source, f"frames of {width} × {height} pixels, more than {MAX_PIXELS:,}")
    stream.thread_type = "AUTO"
    return stream


@dataclass(frozen=True)
class _FrameIndex:
    """Where the frames are.

    Args:
        times: presentation time of each frame in the stream's time base, in order.
        keys: those of key frames, in order; none where the file has no presentation times,
            and `times` only counts.
    """

    times: tuple[int, ...]
    keys: tuple[int, ...]

    @classmethod
    def build(cls, container: InputContainer, stream: VideoStream, source: Any) -> _FrameIndex:
        """Read the file's packets through without decoding."""
        packets = [p for p in demux_whole(container, stream, source) if not p.is_discard]
        if not packets:
            raise InputError(source, "has no frames; truncated?")
        # AVI stores no presentation times; what FFmpeg makes up is wrong where frames were
        # reordered, so frames are counted as they are decoded.
        times = [packet.pts for packet in packets if packet.pts is not None]
        if container.format.name == "avi" or len(times) < len(packets):
            return cls(tuple(range(len(packets))), ())
        keys = sorted(p.pts for p in packets if p.is_keyframe and p.pts is not None)
        return cls(tuple(sorted(times)), tuple(keys) or (min(times),))

    def key_before(self, time: int) -> int:
        """Time of the last key frame that isn't after `time`."""
        return self.keys[max(0, bisect_right(self.keys, time) - 1)]


def _frames_at(
    container: InputContainer, stream: VideoStream, index: _FrameIndex, wanted: Sequence[int]
) -> Iterator[VideoFrame]:
    """Yield the frames of ascending numbers; ends early where decoding does."""
    if not index.keys:
        container.seek(0)
        numbers = set(wanted)
        yield from (f for n, f in enumerate(container.decode(stream)) if n in numbers)
        return
    frames: Iterator[VideoFrame] = iter(())
    frame: VideoFrame | None = None
    for time in (index.times[number] for number in wanted):
        key = index.key_before(time)
        if frame is None or frame.pts < key:
            frames = _decode_from(container, stream, key)
            frame = next(frames, None)
        # Some codecs have packets that show nothing (VP8's golden frames): the next one then.
        while frame is not None and frame.pts < time:
            frame = next(frames, None)
        if frame is None:
            return
        yield frame


def _decode_from(container: InputContainer, stream: VideoStream, key: int) -> Iterator[VideoFrame]:
    """Decode from a key frame, or from the start where the file can't seek to it."""
    container.seek(key, stream=stream)
    frames = (f for f in container.decode(stream) if f.pts is not None)
    frame = next(frames, None)
    if frame is None or frame.pts > key:
        container.seek(0)
        frames = (f for f in container.decode(stream) if f.pts is not None)
        frame = next(frames, None)
    if frame is not None:
        yield frame
        yield from frames


def _quarter_turns(frame: VideoFrame) -> int:
    """How often the frame has to be turned by 90° counter-clockwise to stand upright."""
    turns: int = round(frame.rotation / 90) % 4
    return turns


def _to_rgb(frame: VideoFrame) -> np.ndarray:
    return np.rot90(frame.to_ndarray(format="rgb24"), _quarter_turns(frame))
