"""Sounds: files, bytes and arrays → float32 samples with their rate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from openbind.errors import InputError, MissingExtraError
from openbind.media.arrays import is_array, to_numpy
from openbind.media.containers import LOST_SECONDS, demux_whole, open_container, said_seconds
from openbind.media.source import open_source
from openbind.media.truncation import find_truncation, says_its_length

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream
    from av.container import InputContainer
    from soundfile import SoundFile

Choose = Callable[[int, int], tuple[int, int]]
"""(samples of the whole sound, rate in Hz) → the first sample of a part, the one after its last."""

MAX_CHANNELS = 16
"""An array's shorter axis is its channels, and has this many at most."""
MPEG = {"MP3", "MPEG"}
"""libsndfile's names of MP3."""
UNKNOWN_LENGTH = 1 << 62
"""libsndfile gives more samples than this for a FLAC that was written into a pipe."""
FFMPEG_MARKS = (
    (4, b"ftyp"),
    (0, b"\x1a\x45\xdf\xa3"),
    (0, b"\x30\x26\xb2\x75"),
    (0, b"FLV"),
    (0, b"\xff\xf1"),
    (0, b"\xff\xf9"),
)
"""Place and first bytes of mp4 and m4a, webm and matroska, ASF and WMA, FLV, and bare AAC."""

RUN_UP_SECONDS = Fraction(1, 2)
"""Decoded before a part and excluded: more than any coder looks back (Opus 80 ms, RFC 7845, 4.6;
MP3 at most 9 frames of 26 ms)."""


@dataclass(frozen=True)
class Audio:
    """A sound.

    Args:
        samples_CT: (channels, samples) float32, full scale is -1 to 1.
        rate_hz: samples a second.
    """

    samples_CT: np.ndarray
    rate_hz: int

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return float(self.samples_CT.shape[1] / self.rate_hz)


def read_audio(source: Any, start_seconds: float = 0.0, end_seconds: float | None = None) -> Audio:
    """Read a sound, or a part of it.

    Args:
        source: path or bytes of any format that libsndfile or, with the extra "video", FFmpeg
            knows, the sound track of a video too; (samples, rate_hz); or {"array": samples,
            "sampling_rate": rate_hz}. Samples are (T,), (C, T) or (T, C), arrays or tensors;
            integers are scaled to [-1, 1], float is left as it is.
        start_seconds, end_seconds: the part, cut to whole samples; None is the end.

    Returns:
        all channels as float32. The source isn't changed.

    Raises:
        InputError: missing, empty, truncated, not a sound, no samples, NaN, or no valid rate.
        MissingExtraError: a format that only FFmpeg knows, without the extra.
    """

    def choose(samples: int, rate_hz: int) -> tuple[int, int]:
        start = max(0, int(start_seconds * rate_hz))
        end = samples if end_seconds is None else min(samples, int(end_seconds * rate_hz))
        return start, max(start, end)

    return read_part(source, choose)


def read_part(source: Any, choose: Choose) -> Audio:
    """Read a part of a sound that depends on how long the whole is.

    Args:
        source: as `read_audio`.
        choose: is told how long it is, from the header where that will do, and may be asked again.

    Raises:
        InputError, MissingExtraError: as `read_audio`.
    """
    if isinstance(source, Mapping):
        try:
            return _from_array(source["array"], source["sampling_rate"], choose, source)
        except KeyError as error:
            raise InputError(source, "expected the keys 'array' and 'sampling_rate'") from error
    if isinstance(source, tuple):
        if len(source) != 2:
            raise InputError(source, "expected a pair (samples, rate in Hz)")
        return _from_array(source[0], source[1], choose, source)
    if is_array(source):
        raise InputError(source, "an array needs its rate: hand in (samples, rate in Hz)")
    return _checked(_decode(source, choose), source)


def _decode(source: Any, choose: Choose) -> Audio:
    """Decode with libsndfile, or with FFmpeg what libsndfile doesn't know."""
    import soundfile

    opened = open_source(source)
    if missing := find_truncation(opened):
        raise InputError(source, missing)
    length_is_said = says_its_length(opened)
    try:
        with soundfile.SoundFile(opened) as file:
            counted = file.frames < UNKNOWN_LENGTH
            if counted and (file.format not in MPEG or length_is_said):
                return _read_part(file, choose, source)
            reason = "it doesn't say its length"
    except (soundfile.SoundFileError, TypeError) as error:
        # TypeError is soundfile's answer to the extension ".raw".
        reason = str(error)
    return _decode_with_ffmpeg(source, choose, reason)


def _read_part(file: SoundFile, choose: Choose, source: Any) -> Audio:
    start, end = choose(file.frames, file.samplerate)
    if start:
        file.seek(start)
    samples_TC = file.read(end - start, dtype="float32", always_2d=True)
    if len(samples_TC) < end - start:
        found = f"{start + len(samples_TC):,} of {end:,}"
        raise InputError(source, f"truncated: {found} samples are there")
    return Audio(np.ascontiguousarray(samples_TC.T), file.samplerate)


def _decode_with_ffmpeg(source: Any, choose: Choose, reason: str) -> Audio:
    """Decode a part of the first sound track."""
    try:
        import av  # noqa: F401
    except ImportError as error:
        if not _is_of_ffmpeg(source):
            raise InputError(source, f"not a sound of a known format ({reason})") from error
        raise MissingExtraError(f"reading {source!s:.80} ({reason})", "av", "video") from error
    with _open_track(source) as (container, stream):
        part = _seek_part(container, stream, choose)
    if part is not None:
        return part
    # Opened again: after a seek to its start some files give other first samples.
    with _open_track(source) as (container, stream):
        packets = demux_whole(container, stream, source)
        # None asks the decoder for what it still holds back.
        whole_TC = _join(chain.from_iterable(map(stream.decode, chain(packets, [None]))))
        start, end = choose(len(whole_TC), stream.rate)
        return Audio(np.ascontiguousarray(whole_TC[start:end].T), stream.rate)


@contextmanager
def _open_track(source: Any) -> Iterator[tuple[InputContainer, AudioStream]]:
    """Open the first sound track; what can't be decoded becomes an `InputError`."""
    import av

    with open_container(source) as container:
        if not container.streams.audio:
            raise InputError(source, "has no sound track")
        stream = container.streams.audio[0]
        if stream.codec_context is None:
            raise InputError(source, "its sound is coded in a way that FFmpeg doesn't know")
        try:
            yield container, stream
        except ValueError as error:
            if isinstance(error, InputError | av.FFmpegError):
                raise
            raise InputError(
                source, f"changes its channels or rate on the way ({error})"
            ) from error


def _seek_part(container: InputContainer, stream: AudioStream, choose: Choose) -> Audio | None:
    """Decode little more than a part: of a long video the rest costs too much.

    Returns:
        the part, placed by the file's times, which Matroska rounds to a millisecond; None where
        the whole has to be decoded.
    """
    said = said_seconds(container, stream)
    first = None if said is None else next(container.decode(stream), None)
    if said is None or first is None or first.pts is None:
        return None
    rate_hz: int = first.sample_rate
    start, end = choose(round(said * rate_hz), rate_hz)
    if 2 * (end - start) > said * rate_hz:
        return None

    def place(frame: AudioFrame) -> int:
        # The first frame is the whole's sample 0, whatever time it has.
        seconds: Fraction = ((frame.pts or 0) - first.pts) * frame.time_base
        return round(seconds * rate_hz)

    kept = []
    for frame in _decode_from(container, stream, first, Fraction(start, rate_hz)):
        if place(frame) + frame.samples > start:
            kept.append(frame)
        if place(frame) + frame.samples > end + rate_hz / 1000:
            break
    # It may not seek that far back, or the sound ends before the header says.
    if not kept or place(kept[0]) > start:
        return None
    part_TC = _join(kept)[start - place(kept[0]) :][: end - start]
    if len(part_TC) < end - start - LOST_SECONDS * rate_hz:
        return None
    return Audio(np.ascontiguousarray(part_TC.T), rate_hz)


def _decode_from(
    container: InputContainer, stream: AudioStream, first: AudioFrame, seconds: Fraction
) -> Iterator[AudioFrame]:
    """Decode from shortly before some seconds after the first frame, which was just decoded."""
    if seconds <= RUN_UP_SECONDS:
        yield first
    else:
        target = first.pts * first.time_base + seconds - RUN_UP_SECONDS
        container.seek(int(target / stream.time_base), stream=stream)
    yield from container.decode(stream)


def _join(frames: Iterable[AudioFrame]) -> np.ndarray:
    """Bring decoded frames to samples_TC float32."""
    import av

    # Interleaved: PyAV reads past the end of planar frames of more than eight channels.
    interleaved = av.AudioResampler(format="flt")
    chunks = [
        chunk.to_ndarray().reshape(-1, chunk.layout.nb_channels)
        for frame in frames
        for chunk in interleaved.resample(frame)
    ]
    return np.concatenate(chunks) if chunks else np.zeros((0, 1), np.float32)


def _is_of_ffmpeg(source: Any) -> bool:
    """Return a file that FFmpeg would know by its first bytes."""
    opened = open_source(source)
    with opened.open("rb") if isinstance(opened, Path) else opened as file:
        head = file.read(16)
    return any(head[place:].startswith(mark) for place, mark in FFMPEG_MARKS)


def _from_array(samples: Any, rate_hz: Any, choose: Choose, source: Any) -> Audio:
    values = to_numpy(samples, source)
    if not isinstance(rate_hz, int | float | np.number) or not 1 <= float(rate_hz) < np.inf:
        raise InputError(source, f"expected a rate of 1 Hz or more, found {rate_hz!r}")
    if float(rate_hz) != int(rate_hz):
        raise InputError(source, f"expected a whole rate in Hz, found {rate_hz!r}")
    if values.ndim == 1:
        values = values[None]
    if values.ndim != 2:
        raise InputError(source, f"expected (T,), (C, T) or (T, C), found {values.ndim} axes")
    if values.shape[0] > values.shape[1]:
        values = values.T
    if values.shape[0] > MAX_CHANNELS:
        raise InputError(source, f"expected at most {MAX_CHANNELS} channels, found {values.shape}")
    start, end = choose(values.shape[1], int(rate_hz))
    return _checked(Audio(_to_float(values[:, start:end], source), int(rate_hz)), source)


def _to_float(values: np.ndarray, source: Any) -> np.ndarray:
    """Scale integers by their type's range; unsigned ones are centerd first."""
    if values.dtype.kind == "f":
        return np.array(values, dtype=np.float32)
    if values.dtype.kind not in "iu" or values.dtype.itemsize > 4:
        raise InputError(source, f"expected float or int8 to int32 samples, found {values.dtype}")
    half = 2.0 ** (8 * values.dtype.itemsize - 1)
    offset = half if values.dtype.kind == "u" else 0.0
    return np.asarray((values.astype(np.float64) - offset) / half, dtype=np.float32)


def _checked(audio: Audio, source: Any) -> Audio:
    if not audio.samples_CT.size:
        raise InputError(source, "a sound of zero length has nothing to embed")
    if not np.isfinite(audio.samples_CT).all():
        raise InputError(source, "has NaN or infinite samples")
    return audio
