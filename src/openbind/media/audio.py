"""Sounds: files, bytes and arrays → float32 samples with their rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from openbind.errors import InputError, MissingExtraError
from openbind.media.arrays import is_array, to_numpy
from openbind.media.containers import demux_whole, open_container
from openbind.media.source import open_source
from openbind.media.truncation import find_truncation, says_its_length

if TYPE_CHECKING:
    from soundfile import SoundFile

Choose = Callable[[int, int], tuple[int, int]]
"""(samples of the whole sound, rate in Hz) → the first sample of a part, the one after its last."""

MAX_CHANNELS = 16
"""An array's shorter axis is its channels, and has this many at the most."""
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
        choose: is asked once, when the length is known and nothing is decoded but what has to be.

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
        # TypeError is soundfile's answer to the ending ".raw".
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
    """Decode the first sound track whole and cut the part out."""
    try:
        import av
    except ImportError as error:
        if not _is_of_ffmpeg(source):
            raise InputError(source, f"not a sound of a known format ({reason})") from error
        raise MissingExtraError(f"reading {source!s:.80} ({reason})", "av", "video") from error
    chunks = []
    with open_container(source) as container:
        if not container.streams.audio:
            raise InputError(source, "has no sound track")
        stream = container.streams.audio[0]
        if stream.codec_context is None:
            raise InputError(source, "its sound is coded in a way that FFmpeg doesn't know")
        # Interleaved: PyAV reads past the end of planar frames of more than eight channels.
        interleaved = av.AudioResampler(format="flt")
        try:
            packets = demux_whole(container, stream, source)
            # None asks the decoder for what it still holds back.
            for frame in chain.from_iterable(map(stream.decode, chain(packets, [None]))):
                for chunk in interleaved.resample(frame):
                    chunks.append(chunk.to_ndarray().reshape(-1, chunk.layout.nb_channels))
            samples_TC = np.concatenate(chunks) if chunks else np.zeros((0, 1), np.float32)
        except ValueError as error:
            if isinstance(error, InputError | av.FFmpegError):
                raise
            raise InputError(
                source, f"changes its channels or rate on the way ({error})"
            ) from error
        rate_hz = stream.rate
    start, end = choose(len(samples_TC), rate_hz)
    return Audio(np.ascontiguousarray(samples_TC[start:end].T), rate_hz)


def _is_of_ffmpeg(source: Any) -> bool:
    """Tell a file that FFmpeg would know by its first bytes."""
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
    """Scale integers by their type's range; unsigned ones are centred first."""
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
