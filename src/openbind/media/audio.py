"""Audio: files, bytes and arrays → float32 samples with their rate."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from openbind.errors import InputError, MissingExtraError
from openbind.limits import check_audio
from openbind.media.arrays import is_array, to_numpy
from openbind.media.soundtrack import SelectRange, measure_track, read_track, seek_track
from openbind.media.source import open_source
from openbind.media.truncation import (
    check_truncation,
    has_length_header,
    is_chained,
    is_mostly_there,
    report_missing,
)

if TYPE_CHECKING:
    from soundfile import SoundFile

MAX_CHANNELS = 16
"""Most channels of an array; its shorter axis holds them."""
MPEG = {"MP3", "MPEG"}
"""libsndfile's names of MP3."""
INEXACT_SEEKS = MPEG | {"OGG"}
"""Formats whose first samples are wrong after libsndfile seeks a second time."""
UNKNOWN_LENGTH = 1 << 62
"""libsndfile reports more samples than this for a FLAC that was written into a pipe."""
SIZED = {"WAV", "WAVEX", "AIFF"}
"""Formats whose chunk of samples was checked: what doesn't decode is padding that was counted."""
MAX_LEVEL = float(1 << 32)
"""Largest magnitude of a sample. Integers of 32 bits that weren't scaled are within it; spectra of
samples from about 1e16 on overflow."""
READ_BLOCK = 1 << 22
"""Samples read at a time where a header promises more than memory should be reserved for."""
FFMPEG_SIGNATURES = (
    (4, b"ftyp"),
    (0, b"\x1a\x45\xdf\xa3"),
    (0, b"\x30\x26\xb2\x75"),
    (0, b"FLV"),
    (0, b"\xff\xf1"),
    (0, b"\xff\xf9"),
)
"""Offset and first bytes of mp4 and m4a, webm and matroska, ASF and WMA, FLV, and bare AAC."""


@dataclass(frozen=True)
class Audio:
    """Decoded audio.

    Args:
        samples_CT: (channels, samples) float32; full scale is -1 to 1.
        rate_hz: samples per second.
    """

    samples_CT: np.ndarray
    rate_hz: int

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return float(self.samples_CT.shape[1] / self.rate_hz)


class OpenAudio:
    """Audio kept open, to read several parts of it. Use it as a context manager, in one thread.

    Parts are sought where the format allows. Files that can't be sought are decoded once, and kept
    in memory until the end.

    Args:
        source: path or bytes of any format that libsndfile or, with the extra "video", FFmpeg
            reads, including the audio track of a video; (samples, rate_hz); or {"array": samples,
            "sampling_rate": rate_hz}. Samples are (T,), (C, T) or (T, C), arrays or tensors;
            integers are scaled to [-1, 1], floats are kept. The source isn't modified.
    """

    def __init__(self, source: Any) -> None:
        self.source = source
        self._files = ExitStack()
        self._file: SoundFile | None = None
        self._refusal: str | None = None
        self._whole: tuple[np.ndarray, int] | None = None

    def __enter__(self) -> OpenAudio:
        return self

    def __exit__(self, *error: object) -> None:
        self._files.close()

    def read(self, select: SelectRange) -> Audio:
        """Read a part that depends on how long the whole is, all channels as float32.

        Args:
            select: (samples of the whole, rate in Hz) → first sample of the part, and one past
                its last. May be called twice: for the length by the header, and as decoded.

        Raises:
            InputError: missing, empty, truncated, not audio, NaN, or no valid rate.
            MissingExtraError: a format that only FFmpeg reads, without the extra.
        """
        source = self.source
        if isinstance(source, Mapping):
            try:
                return _from_array(source["array"], source["sampling_rate"], select, source)
            except KeyError as error:
                raise InputError(source, "expected the keys 'array' and 'sampling_rate'") from error
        if isinstance(source, tuple):
            if len(source) != 2:
                raise InputError(source, "expected a pair (samples, rate in Hz)")
            return _from_array(source[0], source[1], select, source)
        if is_array(source):
            raise InputError(source, "an array needs its rate: pass (samples, rate in Hz)")
        return _checked(self._decode(select), source)

    def measure(self) -> float:
        """Return the duration of a path or bytes in seconds, by its headers or counted.

        Raises:
            InputError, MissingExtraError: as `read`.
        """
        import soundfile

        try:
            file = self._open_file()
            return float(file.frames / file.samplerate)
        except (soundfile.SoundFileError, TypeError, _UnknownLengthError) as error:
            _check_ffmpeg(self.source, str(error))
        return float(measure_track(self.source))

    def _decode(self, select: SelectRange) -> Audio:
        """Decode with libsndfile, or with FFmpeg what libsndfile can't."""
        if self._refusal is None:
            import soundfile

            try:
                return _read_part(self._open_file(), select, self.source)
            except (soundfile.SoundFileError, TypeError, _UnknownLengthError) as error:
                # soundfile raises TypeError for the extension ".raw".
                self._refusal = str(error)
            self._files.close()
            _check_ffmpeg(self.source, self._refusal)
        samples_TC, rate_hz = seek_track(self.source, select) or self._part_of_whole(select)
        return Audio(np.ascontiguousarray(samples_TC.T), rate_hz)

    def _open_file(self) -> SoundFile:
        """Open with libsndfile: once, or for each part where a second seek is inexact."""
        import soundfile

        if self._file is not None and not _seeks_inexactly(self._file):
            return self._file
        self._files.close()
        opened = open_source(self.source)
        check_truncation(self.source, opened)
        has_length = has_length_header(opened)
        chained = is_chained(opened)
        file = self._files.enter_context(soundfile.SoundFile(opened))
        if not 0 < file.frames < UNKNOWN_LENGTH or chained:
            raise _UnknownLengthError("its header has no length of the whole")
        if file.format in MPEG and not has_length:
            raise _UnknownLengthError("its header has no length of the whole")
        self._file = file
        return file

    def _part_of_whole(self, select: SelectRange) -> tuple[np.ndarray, int]:
        self._whole = self._whole or read_track(self.source)
        whole_TC, rate_hz = self._whole
        start, end = select(len(whole_TC), rate_hz)
        return whole_TC[start:end], rate_hz


def _seeks_inexactly(file: SoundFile) -> bool:
    return file.format in INEXACT_SEEKS or file.subtype.startswith("MPEG")


class _UnknownLengthError(Exception):
    """A file that libsndfile reads but whose length it doesn't know."""


def read_audio(source: Any, start_seconds: float = 0.0, end_seconds: float | None = None) -> Audio:
    """Read audio, or a part of it, all channels as float32.

    Args:
        source: as `OpenAudio`.
        start_seconds, end_seconds: the part, cut to whole samples; None is the end.

    Raises:
        InputError, MissingExtraError: as `OpenAudio.read`.
    """

    def select(samples: int, rate_hz: int) -> tuple[int, int]:
        start = max(0, int(start_seconds * rate_hz))
        end = samples if end_seconds is None else min(samples, int(end_seconds * rate_hz))
        return start, max(start, end)

    return read_part(source, select)


def read_part(source: Any, select: SelectRange) -> Audio:
    """Read a part of any source of `OpenAudio`, as `OpenAudio.read`."""
    with OpenAudio(source) as audio:
        return audio.read(select)


def _read_part(file: SoundFile, select: SelectRange, source: Any) -> Audio:
    check_audio(file.samplerate, file.channels, file.frames, source)
    start, end = select(file.frames, file.samplerate)
    if file.tell() != start:
        file.seek(start)
    samples_TC = _read_samples(file, end - start)
    found = start + len(samples_TC)
    if found < end:
        missing = f"truncated: found {found:,} of {end:,} samples"
        if not (file.format in SIZED and len(samples_TC)):
            report_missing(source, missing, is_mostly_there(found, file.frames))
    return Audio(np.ascontiguousarray(samples_TC.T), file.samplerate)


def _read_samples(file: SoundFile, count: int) -> np.ndarray:
    """Read up to `count` samples of all channels."""
    if count <= READ_BLOCK:
        return np.asarray(file.read(count, dtype="float32", always_2d=True))
    blocks = [file.read(READ_BLOCK, dtype="float32", always_2d=True)]
    left = count - READ_BLOCK
    while left and len(blocks[-1]) == READ_BLOCK:
        blocks.append(file.read(min(left, READ_BLOCK), dtype="float32", always_2d=True))
        left -= len(blocks[-1])
    return np.concatenate(blocks)


def _check_ffmpeg(source: Any, refusal: str) -> None:
    """Check that FFmpeg is there for what libsndfile refused."""
    try:
        import av  # noqa: F401
    except ImportError as error:
        if not _has_ffmpeg_signature(source):
            raise InputError(source, f"not audio of a known format ({refusal})") from error
        raise MissingExtraError(f"reading {source!s:.80} ({refusal})", "av", "video") from error


def _has_ffmpeg_signature(source: Any) -> bool:
    """Return whether the first bytes are those of a format that FFmpeg reads."""
    opened = open_source(source)
    with opened.open("rb") if isinstance(opened, Path) else opened as file:
        head = file.read(16)
    return any(head[offset:].startswith(mark) for offset, mark in FFMPEG_SIGNATURES)


def _from_array(samples: Any, rate_hz: Any, select: SelectRange, source: Any) -> Audio:
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
    check_audio(int(rate_hz), len(values), values.shape[1], source)
    start, end = select(values.shape[1], int(rate_hz))
    return _checked(Audio(_to_float(values[:, start:end], source), int(rate_hz)), source)


def _to_float(values: np.ndarray, source: Any) -> np.ndarray:
    """Scale integers by the range of their type; unsigned ones are centered first."""
    if values.dtype.kind == "f":
        return np.array(values, dtype=np.float32)
    if values.dtype.kind not in "iu" or values.dtype.itemsize > 4:
        raise InputError(source, f"expected float or int8 to int32 samples, found {values.dtype}")
    half = 2.0 ** (8 * values.dtype.itemsize - 1)
    offset = half if values.dtype.kind == "u" else 0.0
    return np.asarray((values.astype(np.float64) - offset) / half, dtype=np.float32)


def _checked(audio: Audio, source: Any) -> Audio:
    if not audio.samples_CT.size:
        raise InputError(source, "empty audio: no samples")
    if not np.isfinite(audio.samples_CT).all():
        raise InputError(source, "has NaN or infinite samples")
    level = max(float(audio.samples_CT.max()), -float(audio.samples_CT.min()))
    if level > MAX_LEVEL:
        reason = f"has a sample of magnitude {level:.3g}, expected -1 to 1; is its type wrong?"
        raise InputError(source, reason)
    return audio
