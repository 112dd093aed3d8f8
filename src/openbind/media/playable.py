"""Transcode recordings to MP4 with H.264 and AAC, which browsers play. Needs PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from openbind.errors import InputError
from openbind.media.containers import DEFAULT_FPS, find_audio, find_images, open_container
from openbind.media.frames import to_rgb, upright_size, video_stream

if TYPE_CHECKING:
    from av import AudioStream, Packet, VideoStream
    from av.container import InputContainer, OutputContainer

LONG_SIDE = 960
"""Of images, in pixels at most."""
MAX_FPS = 30
TICK = Fraction(1, 12_800)
"""Of times of images, in seconds."""
RATE_HZ = 48_000
H264 = {"preset": "ultrafast", "crf": "23"}
"""Some 1.5 ms a frame of 320 × 240 on one thread, a thirtieth of libvpx's time for VP8."""
THREADS = 2
AAC = {"b": "128k"}
PACKET_SAMPLES = 1024
"""Of AAC-LC (ISO 14496-3, 4.5.1.1)."""
FAST_START = {"movflags": "faststart"}
"""The index comes first, so that players begin before they have read all."""


def transcode(source: str | Path, target: Path, *, images: bool, max_seconds: float) -> None:
    """Write a recording as MP4: images scaled down and upright, sound of at most two channels.

    Packets that can't be decoded are skipped. Times are the source's, from its first one.

    Args:
        source: path of a file of any format that FFmpeg reads.
        target: file to write.
        images: whether to write images; else the sound alone.
        max_seconds: of the recording.

    Raises:
        InputError: not a recording, broken, too large, or longer than that; a part of the target
            may be there.
        MissingExtraError: PyAV is not installed.
    """
    size = _first_size(source) if images else None
    with open_container(source) as given, _write(target) as made:
        tracks = _tracks(given, made, size, source)
        starts = [track.given.start_time or 0 for track in tracks]
        units = [track.given.time_base or TICK for track in tracks]
        first = min(start * unit for start, unit in zip(starts, units, strict=True))
        by_index = {track.given.index: track for track in tracks}
        for packet in given.demux([track.given for track in tracks]):
            track = by_index.get(packet.stream_index)
            if track is None:
                continue
            for frame in _decode(packet):
                if track.add(frame, first) > max_seconds:
                    reason = f"longer than {max_seconds:.0f} s, which is the most that is converted"
                    raise InputError(source, reason)
        for track in tracks:
            track.end()
        if not any(track.count for track in tracks):
            raise InputError(source, "nothing in it can be decoded")


class _Track(Protocol):
    """A track of the source that is written.

    Attributes:
        given: the track.
        count: of its frames that were written.
    """

    given: Any
    count: int

    def add(self, frame: Any, first: Fraction) -> Fraction:
        """Write a frame; returns its time in seconds from the first."""

    def end(self) -> None:
        """Write what the encoder holds."""


class _Images:
    """Images of a video, scaled down, at most `MAX_FPS` a second."""

    def __init__(self, made: OutputContainer, given: VideoStream, size: tuple[int, int]) -> None:
        self.given, self.count, self._made = given, 0, made
        self._step = 1 / (given.average_rate or given.guessed_rate or DEFAULT_FPS)
        self._next = Fraction(0)
        self._out = made.add_stream("libx264", rate=MAX_FPS, options=H264)
        self._out.width, self._out.height = size
        self._out.pix_fmt = "yuv420p"
        self._out.codec_context.time_base = TICK
        self._out.codec_context.thread_count = THREADS
        self._number = 0

    def add(self, frame: Any, first: Fraction) -> Fraction:
        """Write a frame; those without a time follow each other at the average rate."""
        import av

        if frame.pts is None or frame.time_base is None:
            seconds = self._number * self._step
        else:
            seconds = frame.pts * frame.time_base - first
        self._number += 1
        if seconds < self._next:
            return seconds
        self._next = max(seconds, Fraction(0)) + Fraction(9, 10 * MAX_FPS)
        frame_HWC = to_rgb(frame, self.given.sample_aspect_ratio)
        shown = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame_HWC), format="rgb24")
        shown = shown.reformat(self._out.width, self._out.height, "yuv420p")
        shown.pts, shown.time_base = round(seconds / TICK), TICK
        self._made.mux(self._out.encode(shown))
        self.count += 1
        return seconds

    def end(self) -> None:
        """Write what the encoder holds."""
        self._made.mux(self._out.encode(None))


class _Sound:
    """A track of sound."""

    def __init__(self, made: OutputContainer, given: AudioStream) -> None:
        import av

        self.given, self.count, self._made = given, 0, made
        layout = "mono" if given.codec_context.channels == 1 else "stereo"
        self._out = made.add_stream("aac", rate=RATE_HZ, layout=layout, options=AAC)
        self._resampler = av.AudioResampler("fltp", layout, RATE_HZ, PACKET_SAMPLES)

    def add(self, frame: Any, first: Fraction) -> Fraction:
        """Write samples."""
        seconds = Fraction(self.count, frame.sample_rate)
        if frame.pts is not None and frame.time_base is not None:
            seconds = frame.pts * frame.time_base - first
            frame.pts -= round(first / frame.time_base)
        self.count += frame.samples
        self._write(frame)
        return seconds

    def end(self) -> None:
        """Write what resampler and encoder hold."""
        if self.count:
            self._write(None)
        self._made.mux(self._out.encode(None))

    def _write(self, frame: Any) -> None:
        for part in self._resampler.resample(frame):
            self._made.mux(self._out.encode(part))


def _write(target: Path) -> OutputContainer:
    import av

    made: OutputContainer = av.open(str(target.absolute()), "w", format="mp4", options=FAST_START)
    return made


def _tracks(
    given: InputContainer, made: OutputContainer, size: tuple[int, int] | None, source: Any
) -> list[_Track]:
    """Return the tracks of images, if they have a size, and of sound."""
    tracks: list[_Track] = []
    if size is not None:
        tracks.append(_Images(made, video_stream(given, source), size))
    sound = find_audio(given)
    if sound is not None and sound.codec_context is not None:
        tracks.append(_Sound(made, sound))
    if not tracks:
        raise InputError(source, "has neither images nor sound that can be decoded")
    return tracks


def _first_size(source: Any) -> tuple[int, int] | None:
    """Return width and height of the images to write, even numbers; None without images."""
    with open_container(source) as given:
        if find_images(given) is None:
            return None
        stream = video_stream(given, source)
        frame = next((frame for packet in given.demux(stream) for frame in _decode(packet)), None)
        if frame is None:
            raise InputError(source, "none of its images can be decoded")
        width, height = upright_size(frame, stream.sample_aspect_ratio)
    scale = min(1.0, LONG_SIDE / max(width, height))
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def _decode(packet: Packet) -> Iterator[Any]:
    """Yield the frames of a packet; none if it is broken."""
    import av

    try:
        yield from packet.decode()
    except av.FFmpegError:
        return
