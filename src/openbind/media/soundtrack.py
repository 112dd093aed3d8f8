"""Audio tracks that FFmpeg decodes: m4a, webm, videos. Needs the extra "video"."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from openbind.errors import InputError
from openbind.limits import check_audio
from openbind.media.containers import (
    HEADER_TOLERANCE_SECONDS,
    demux_whole,
    find_audio,
    header_seconds,
    open_container,
)
from openbind.media.truncation import is_mostly_there

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream, Packet
    from av.container import InputContainer

SelectRange = Callable[[int, int], tuple[int, int]]
"""(samples of the whole, rate in Hz) → the first sample of a part, and one past its last."""

PREROLL_SECONDS = Fraction(1, 2)
"""Decoded before a part and dropped: longer than the memory of any codec (Opus 80 ms, RFC 7845,
4.6; MP3 at most 9 frames of 26 ms)."""

KEPT_VALUES = 1 << 24
"""Samples of all channels (64 MB) up to which a track is kept in memory."""
MAX_BROKEN = 0.1
"""Fraction of a track's packets that may be broken."""


class Track:
    """The default audio track of a file that has to be decoded from its start.

    A short one is kept in memory. Of a long one only the part that is read is; parts in ascending
    order are decoded in one pass.

    Args:
        source: path or bytes.

    Raises:
        InputError: here and in every method: no audio track, broken, or truncated.
        MissingExtraError: PyAV is not installed.
    """

    def __init__(self, source: Any) -> None:
        self.source = source
        self._chunks: Generator[tuple[np.ndarray, int], None, None] | None = None
        self._held: deque[np.ndarray] = deque()
        self._start = self._end = self._channels = 0

    @cached_property
    def _whole(self) -> tuple[np.ndarray | None, int, int]:
        """Decode a short track: its samples, or None; how many there are; their rate in Hz."""
        kept: list[np.ndarray] = []
        count = rate_hz = 0
        with closing(_decode_track(self.source)) as chunks:
            for chunk_TC, found_hz in chunks:
                kept.append(chunk_TC)
                count, rate_hz = count + len(chunk_TC), found_hz
                if count * chunk_TC.shape[1] > KEPT_VALUES:
                    # The rest is counted without decoding it.
                    count = round(measure_track(self.source) * rate_hz)
                    check_audio(rate_hz, chunk_TC.shape[1], count, self.source)
                    return None, count, rate_hz
        return np.concatenate(kept) if kept else np.zeros((0, 1), np.float32), count, rate_hz

    def length(self) -> tuple[int, int]:
        """Return the number of samples and their rate in Hz: as decoded, or counted by packets."""
        return self._whole[1:]

    def read(self, start: int, end: int) -> np.ndarray:
        """Return the samples from `start` to `end`, samples_TC float32."""
        whole_TC = self._whole[0]
        if whole_TC is not None:
            return whole_TC[start:end]
        if self._chunks is None or start < self._start:
            self.close()
            self._chunks = _decode_track(self.source)
        while self._end < end and (decoded := next(self._chunks, None)):
            self._held.append(decoded[0])
            self._channels = decoded[0].shape[1]
            self._end += len(decoded[0])
            self._drop(start)
        self._drop(start)
        if self._end < min(end, self._whole[1]):
            self._fill(min(end, self._whole[1]))
        return np.concatenate(self._held)[start - self._start : end - self._start]

    def _fill(self, end: int) -> None:
        """Put silence in the place of packets that were counted but didn't decode.

        Raises:
            InputError: these are more than a tenth.
        """
        if not is_mostly_there(self._end, end) or not self._channels:
            raise InputError(self.source, f"truncated: found {self._end:,} of {end:,} samples")
        self._held.append(np.zeros((end - self._end, self._channels), np.float32))
        self._end = end

    def _drop(self, start: int) -> None:
        """Forget the chunks that end before a sample."""
        while self._held and self._start + len(self._held[0]) <= start:
            self._start += len(self._held.popleft())

    def close(self) -> None:
        """Close the file that a part was read from."""
        if self._chunks is not None:
            self._chunks.close()
        self._chunks, self._start, self._end = None, 0, 0
        self._held.clear()


def _decode_track(source: Any) -> Generator[tuple[np.ndarray, int], None, None]:
    """Yield the samples of the default audio track, chunk_TC float32, with their rate in Hz."""
    with _open_track(source) as (container, stream):
        packets = demux_whole(container, stream, source)
        yield from _interleave(_decode_whole(stream, packets, source))


def _decode_whole(
    stream: AudioStream, packets: Iterable[Packet], source: Any
) -> Iterator[AudioFrame]:
    """Decode packets; a few broken ones are skipped, as where one MP3 follows another.

    Raises:
        InputError: more than a tenth are broken.
    """
    import av

    count = broken = samples = unchecked = 0
    for packet in chain(packets, [None]):  # None flushes the decoder
        count += 1
        try:
            for frame in stream.decode(packet):
                samples += frame.samples
                if samples >= unchecked:
                    check_audio(frame.sample_rate, frame.layout.nb_channels, samples, source)
                    unchecked = samples + frame.sample_rate
                yield frame
        except av.InvalidDataError:
            broken += 1
    if broken > MAX_BROKEN * count:
        raise InputError(source, f"broken or truncated: {broken} of {count} packets don't decode")


def seek_track(source: Any, select: SelectRange) -> tuple[np.ndarray, int] | None:
    """Decode little more than a part of the default audio track of a path or bytes.

    The file is opened for each part, which reads its headers only: some decoders keep state when
    they seek (AAC's noise generator, for example), and parts must not depend on each other.

    Args:
        select: (samples of the whole by the header, rate in Hz) → the part.

    Returns:
        samples_TC float32 and their rate in Hz, placed by the file's times, which Matroska rounds
        to a millisecond; None where the whole has to be decoded.

    Raises:
        InputError, MissingExtraError: as `Track`.
    """
    with _open_track(source) as (container, stream):
        total_seconds = header_seconds(container, stream)
        first = None if total_seconds is None else next(container.decode(stream), None)
        if total_seconds is None or first is None or first.pts is None:
            return None
        rate_hz: int = first.sample_rate
        check_audio(rate_hz, first.layout.nb_channels, round(total_seconds * rate_hz), source)
        start, end = select(round(total_seconds * rate_hz), rate_hz)
        if 2 * (end - start) > total_seconds * rate_hz:
            return None

        def position(frame: AudioFrame) -> int:
            # The first frame is the whole's sample 0, whatever its time.
            seconds: Fraction = ((frame.pts or 0) - first.pts) * frame.time_base
            return round(seconds * rate_hz)

        frames = []
        for frame in _decode_from(container, stream, first, Fraction(start, rate_hz)):
            if position(frame) + frame.samples > start:
                frames.append(frame)
            if position(frame) + frame.samples > end + rate_hz / 1000:
                break
        # Seeking may not reach that far back, and audio may end before the header's end.
        if not frames or position(frames[0]) > start:
            return None
        part_TC = _join(frames)[start - position(frames[0]) :][: end - start]
        is_whole = len(part_TC) >= end - start - HEADER_TOLERANCE_SECONDS * rate_hz
        return (part_TC, rate_hz) if is_whole else None


def measure_track(source: Any) -> Fraction:
    """Return the duration in seconds of the default audio track, by the headers or counted.

    Nothing is decoded. Packets are counted where the headers state no duration, or FFmpeg guesses
    it.

    Raises:
        InputError, MissingExtraError: as `Track`.
    """
    with _open_track(source) as (container, stream):
        seconds = header_seconds(container, stream)
        if seconds is not None and seconds > 0:
            return seconds
        counted, first, end = Fraction(0), None, Fraction(0)
        for packet in demux_whole(container, stream, source):
            length = (packet.duration or 0) * packet.time_base
            counted += length
            if packet.pts is not None:
                time = packet.pts * packet.time_base
                first = time if first is None else first
                end = max(end, time + length)
        # Times start again where a recording follows another; lengths of packets may be missing.
        return max(counted, end - (first or 0))


def _decode_from(
    container: InputContainer, stream: AudioStream, first: AudioFrame, seconds: Fraction
) -> Iterator[AudioFrame]:
    """Decode from shortly before some seconds after the first frame, which was just decoded."""
    if seconds <= PREROLL_SECONDS:
        yield first
    else:
        target = first.pts * first.time_base + seconds - PREROLL_SECONDS
        container.seek(int(target / stream.time_base), stream=stream)
    yield from container.decode(stream)


@contextmanager
def _open_track(source: Any) -> Iterator[tuple[InputContainer, AudioStream]]:
    """Open the default audio track; what decoding raises becomes an `InputError`."""
    with open_container(source) as container:
        import av

        stream = find_audio(container)
        if stream is None:
            raise InputError(source, "has no audio track")
        if stream.codec_context is None:
            raise InputError(source, "FFmpeg has no decoder for its audio codec")
        try:
            yield container, stream
        except ValueError as error:
            if isinstance(error, InputError | av.FFmpegError):
                raise
            raise InputError(source, f"changes its channels or rate ({error})") from error


def _interleave(frames: Iterable[AudioFrame]) -> Iterator[tuple[np.ndarray, int]]:
    """Yield the samples of decoded frames, chunk_TC float32, and their rate in Hz.

    Where channels or rate change, as in a chain of recordings, the rest is converted.
    """
    import av

    # Interleaved: PyAV reads past the end of planar frames of more than eight channels.
    converter, kind, first = av.AudioResampler(format="flt"), None, None
    for frame in frames:
        first = first or (frame.layout.name, frame.sample_rate)
        found = (frame.layout.name, frame.sample_rate, frame.format.name)
        if kind not in (None, found):
            yield from map(_to_array, converter.resample(None))
            converter = av.AudioResampler("flt", *first)
        kind = found
        yield from map(_to_array, converter.resample(frame))
    if kind is not None:
        yield from map(_to_array, converter.resample(None))


def _to_array(chunk: AudioFrame) -> tuple[np.ndarray, int]:
    return chunk.to_ndarray().reshape(-1, chunk.layout.nb_channels), chunk.sample_rate


def _join(frames: Iterable[AudioFrame]) -> np.ndarray:
    """Concatenate decoded frames to samples_TC float32."""
    chunks = [chunk_TC for chunk_TC, _ in _interleave(frames)]
    return np.concatenate(chunks) if chunks else np.zeros((0, 1), np.float32)
