"""Audio: files, bytes and arrays → float32 samples with their rate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from openbind.errors import InputError, MissingExtraError
from openbind.limits import check_audio
from openbind.media.arrays import is_array, to_numpy
from openbind.media.soundtrack import SelectRange, Track, measure_track, seek_track
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
"""Formats whose samples are wrong after libsndfile seeks a second time, or into the last page."""
NEAR_SAMPLES = 1 << 20
"""Samples of these formats that are decoded before a part, more than a page of Ogg has (255 packets
of 4,096 samples); to a part farther away, the file is opened again."""
UNKNOWN_LENGTH = 1 << 62
"""libsndfile reports more samples than this for a FLAC that was written into a pipe."""
SIZED = {"WAV", "WAVEX", "AIFF"}
"""Formats whose chunk of samples was checked: what doesn't decode is padding that was counted."""
MAX_LEVEL = float(1 << 32)
"""Largest magnitude of a sample. Integers of 32 bits that weren't scaled are within it; spectra of
samples from about 1e16 on overflow."""
READ_VALUES = 1 << 22
"""Samples of all channels that are read at a time."""
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

    Parts are sought where the format allows; in other formats, parts in ascending order are decoded
    in one pass. Only the part that is read is in memory, or a short file.

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
        self._position = 0
        self._refusal: str | None = None
        self._track: Track | None = None

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
                return self._read_file(select)
            except (soundfile.SoundFileError, TypeError, _UnknownLengthError) as error:
                # soundfile raises TypeError for the extension ".raw".
                self._refusal = str(error)
            self._files.close()
            _check_ffmpeg(self.source, self._refusal)
        samples_TC, rate_hz = seek_track(self.source, select) or self._read_track(select)
        return Audio(np.ascontiguousarray(samples_TC.T), rate_hz)

    def _read_file(self, select: SelectRange) -> Audio:
        """Read a part with libsndfile."""
        file = self._file or self._open_file()
        check_audio(file.samplerate, file.channels, file.frames, self.source)
        start, end = select(file.frames, file.samplerate)
        file = self._go_to(start)
        blocks = list(_read_blocks(file, end - start)) or [np.zeros((0, file.channels), np.float32)]
        samples_TC = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        self._position = found = start + len(samples_TC)
        if found < end and not (file.format in SIZED and len(samples_TC)):
            missing = f"truncated: found {found:,} of {end:,} samples"
            report_missing(self.source, missing, is_mostly_there(found, file.frames))
        return Audio(np.ascontiguousarray(samples_TC.T), file.samplerate)

    def _go_to(self, start: int) -> SoundFile:
        """Return the file, at a sample."""
        file = self._file or self._open_file()
        near = NEAR_SAMPLES if _seeks_inexactly(file) else 0
        if not 0 <= start - self._position <= near:
            if near and self._position:
                file = self._open_file()
            self._position = max(0, start - near)
            file.seek(self._position)
        for block_TC in _read_blocks(file, start - self._position):
            self._position += len(block_TC)
        return file

    def _open_file(self) -> SoundFile:
        """Open with libsndfile."""
        import soundfile

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
        if _seeks_inexactly(file):
            # Otherwise soundfile seeks before and after each read.
            setattr(file, "seekable", lambda: False)  # noqa: B010 - a method of the class
        self._file, self._position = file, 0
        return file

    def _read_track(self, select: SelectRange) -> tuple[np.ndarray, int]:
        """Read a part of what has to be decoded from its start."""
        if self._track is None:
            self._track = Track(self.source)
            self._files.callback(self._track.close)
        samples, rate_hz = self._track.length()
        return self._track.read(*select(samples, rate_hz)), rate_hz


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


def _read_blocks(file: SoundFile, count: int) -> Iterator[np.ndarray]:
    """Read up to `count` samples, a bounded number at a time: headers promise any length."""
    most = max(1, READ_VALUES // file.channels)
    while count > 0:
        block_TC = np.asarray(file.read(min(count, most), dtype="float32", always_2d=True))
        yield block_TC
        count -= len(block_TC)
        if not len(block_TC):
            return


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
