"""Every kind of sound becomes float32 with its rate; everything else an InputError."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from openbind.errors import InputError, MissingExtraError
from openbind.media import audio as media_audio
from openbind.media.audio import read_audio, read_part

RATE = 22_050
STEREO_CT = (np.random.default_rng(0).uniform(-0.5, 0.5, (2, 5000))).astype(np.float32)


def encoded(samples_CT: np.ndarray, kind: str, subtype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples_CT.T, RATE, format=kind, subtype=subtype)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "subtype", "tolerance"),
    [
        ("WAV", "FLOAT", 0),
        ("WAV", "PCM_16", 1e-4),
        ("WAV", "PCM_U8", 1e-2),
        ("FLAC", None, 1e-4),
        ("AIFF", "PCM_24", 1e-6),
    ],
)
def test_formats(kind: str, subtype: str | None, tolerance: float) -> None:
    """All channels come back within the format's resolution, with the rate."""
    audio = read_audio(encoded(STEREO_CT, kind, subtype))
    assert audio.rate_hz == RATE
    assert audio.samples_CT.dtype == np.float32
    np.testing.assert_allclose(audio.samples_CT, STEREO_CT, atol=tolerance)
    assert audio.seconds == pytest.approx(5000 / RATE)


@pytest.mark.parametrize("kind", ["OGG", "MP3"])
def test_lossy_formats(kind: str) -> None:
    """The length is right to a few frames and the level near."""
    tone = np.sin(np.arange(RATE) * 2 * np.pi * 440 / RATE).astype(np.float32)[None] * 0.5
    audio = read_audio(encoded(tone, kind))
    assert audio.samples_CT.shape[1] == pytest.approx(RATE, rel=0.1)
    assert np.sqrt((audio.samples_CT**2).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)


def test_m4a_through_ffmpeg(tmp_path: Path) -> None:
    """What libsndfile doesn't know is decoded by FFmpeg."""
    path = tmp_path / "tone.m4a"
    tone = np.sin(np.arange(44_100) * 2 * np.pi * 440 / 44_100).astype(np.float32)[None] * 0.5
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=44_100, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        frame.rate = 44_100
        frame.time_base = Fraction(1, 44_100)
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    audio = read_audio(path)
    assert audio.rate_hz == 44_100
    assert audio.samples_CT.shape[1] == pytest.approx(44_100, abs=3000)
    assert read_audio(path.read_bytes()).samples_CT.shape == audio.samples_CT.shape


@pytest.mark.parametrize(
    "make",
    [
        lambda: (STEREO_CT, RATE),
        lambda: (STEREO_CT.T, RATE),
        lambda: (torch.from_numpy(STEREO_CT), RATE),
        lambda: {"array": STEREO_CT, "sampling_rate": RATE},
        lambda: (STEREO_CT.astype(np.float64), float(RATE)),
    ],
)
def test_arrays_agree(make: Callable[[], object]) -> None:
    """Channels first or last, arrays, tensors and dictionaries are the same sound."""
    audio = read_audio(make())
    assert audio.rate_hz == RATE
    np.testing.assert_array_equal(audio.samples_CT, STEREO_CT)


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        (np.int16, -32768, -1.0),
        (np.int16, 16384, 0.5),
        (np.int32, 2**30, 0.5),
        (np.uint8, 128, 0.0),
        (np.uint8, 0, -1.0),
        (np.int8, 64, 0.5),
    ],
)
def test_integers_are_scaled(dtype: type, value: int, expected: float) -> None:
    """Full scale of each type is -1 to 1."""
    audio = read_audio((np.full(9, value, dtype), RATE))
    np.testing.assert_allclose(audio.samples_CT, expected)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no/such/file.wav", "no such file"),
        (b"", "empty"),
        (b"RIFF not really", "not a sound"),
        (encoded(STEREO_CT[:, :0], "WAV"), "zero length"),
        (encoded(STEREO_CT, "FLAC")[:3000], "truncated|not a sound|broken"),
        ((np.zeros(0), RATE), "zero length"),
        ((np.array([0.0, np.nan]), RATE), "NaN"),
        ((np.zeros(5), 0), "1 Hz or more"),
        ((np.zeros(5), "fast"), "1 Hz or more"),
        ((np.zeros(5), 0.5), "1 Hz or more"),
        ((np.zeros(5), 44_100.5), "whole rate"),
        ((np.zeros((40, 40, 2)), RATE), "3 axes"),
        ((np.zeros((40, 41)), RATE), "at most 16 channels"),
        ((np.array(["a", "b"]), RATE), "expected float"),
        ((np.zeros(5),), "expected a pair"),
        ({"array": np.zeros(5)}, "'sampling_rate'"),
        (np.zeros(5), "needs its rate"),
        (42, "found int"),
    ],
)
def test_bad_sounds(source: object, message: str) -> None:
    """Each says what was found and what was expected."""
    with pytest.raises(InputError, match=message):
        read_audio(source)


def test_truncated_wav(tmp_path: Path) -> None:
    """A WAV whose header promises more than there is."""
    path = tmp_path / "cut.wav"
    data = encoded(STEREO_CT, "WAV", "PCM_16")
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="truncated"):
        read_audio(path)


def test_bad_files(tmp_path: Path) -> None:
    """A directory, an empty file, and a image with a sound's name."""
    (tmp_path / "empty.wav").touch()
    (tmp_path / "image.wav").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500))
    with pytest.raises(InputError, match="found a directory"):
        read_audio(tmp_path)
    with pytest.raises(InputError, match="empty file"):
        read_audio(tmp_path / "empty.wav")
    with pytest.raises(InputError, match=r"image\.wav"):
        read_audio(tmp_path / "image.wav")


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "array"])
def test_a_part(kind: str) -> None:
    """From one time to another is the same part of the whole, cut to whole samples."""
    source = (STEREO_CT, RATE) if kind == "array" else encoded(STEREO_CT, kind)
    whole = read_audio(source).samples_CT
    part = read_audio(source, 0.05, 0.15).samples_CT
    np.testing.assert_allclose(part, whole[:, int(0.05 * RATE) : int(0.15 * RATE)], atol=1e-6)
    np.testing.assert_allclose(
        read_audio(source, 0.2, 99).samples_CT, whole[:, int(0.2 * RATE) :], atol=1e-6
    )
    with pytest.raises(InputError, match="zero length"):
        read_audio(source, 5.0)


def test_flac_of_unknown_length() -> None:
    """What was written into a pipe is read to its end."""
    data = bytearray(encoded(STEREO_CT, "FLAC"))
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    np.testing.assert_allclose(read_audio(bytes(data)).samples_CT, STEREO_CT, atol=1e-4)


def test_mp3_of_unknown_length() -> None:
    """A variable bit rate without its header isn't cut short."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 3 * RATE)).astype(np.float32)
    loud_then_quiet = noise * np.linspace(1, 0, noise.size) ** 2
    buffer = io.BytesIO()
    soundfile.write(buffer, loud_then_quiet.T, RATE, format="MP3", bitrate_mode="VARIABLE")
    data = buffer.getvalue()
    found = read_audio(data[data.index(data[:2], 4) :])
    assert found.samples_CT.shape[1] == pytest.approx(3 * RATE, rel=0.05)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_truncated_files(kind: str, tmp_path: Path) -> None:
    """A file cut in the middle is refused, whatever its format."""
    data = encoded(np.tile(STEREO_CT, 10), kind)
    path = tmp_path / "cut"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError):
        read_audio(path)


def test_without_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data that nobody knows is bad input; a video is a missing extra."""
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match="not a sound of a known format"):
        read_audio(b"just words, no sound at all")
    with pytest.raises(MissingExtraError, match=r"openbind\[video\]"):
        read_audio(b"\0\0\0\x20ftypM4A " + bytes(100))


@pytest.mark.parametrize("rate", [float("inf"), float("nan"), -5, None])
def test_bad_rates(rate: object) -> None:
    """Rates that aren't."""
    with pytest.raises(InputError, match="1 Hz or more"):
        read_audio((np.zeros(5), rate))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["WAV", "FLAC", "AIFF"]), st.integers(0, 4000), st.integers(0, 255))
def test_damage_escapes_as_nothing_else(kind: str, place: int, value: int) -> None:
    """One changed byte gives a sound or an InputError."""
    data = bytearray(encoded(STEREO_CT[:, :800], kind))
    data[place % len(data)] = value
    with TemporaryDirectory() as folder:
        path = Path(folder) / "damaged"
        path.write_bytes(data)
        with contextlib.suppress(InputError):
            read_audio(path)


def test_many_channels_through_ffmpeg() -> None:
    """More than the eight planes that FFmpeg's frames hold at once."""
    sound_CT = np.random.default_rng(1).uniform(-0.5, 0.5, (12, 3000)).astype(np.float32)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        stream = container.add_stream("pcm_f32le", rate=48_000, layout="12C")
        interleaved = np.ascontiguousarray(sound_CT.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(interleaved, format="flt", layout="12C")
        frame.rate = 48_000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    found = read_audio(buffer.getvalue())
    assert found.rate_hz == 48_000
    np.testing.assert_array_equal(found.samples_CT, sound_CT)


@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_a_part_that_depends_on_the_length(kind: str) -> None:
    """The one who chooses is told samples and rate, once; files and arrays alike."""
    told: list[tuple[int, int]] = []

    def last_tenth(samples: int, rate_hz: int) -> tuple[int, int]:
        told.append((samples, rate_hz))
        return samples - samples // 10, samples

    for source in (encoded(STEREO_CT, kind), (STEREO_CT, RATE)):
        found = read_part(source, last_tenth)
        np.testing.assert_allclose(found.samples_CT, STEREO_CT[:, 4_500:], atol=1e-4)
    assert told == [(5_000, RATE)] * 2


def chirp(kind: str, codec: str, index_first: bool = False) -> bytes:
    """12 s of a rising tone at 48 kHz, of which no two moments are alike."""
    seconds = np.arange(12 * 48_000) / 48_000
    tone = (0.4 * np.sin(2 * np.pi * (200 + 50 * seconds) * seconds)).astype(np.float32)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "sound"
        options = {"movflags": "faststart"} if index_first else {}
        with av.open(str(path), "w", format=kind, container_options=options) as container:
            stream = container.add_stream(codec, rate=48_000, layout="mono")
            formats = av.AudioResampler(format=stream.codec_context.format, rate=48_000)
            frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
            frame.rate, frame.time_base, frame.pts = 48_000, Fraction(1, 48_000), 0
            for part in formats.resample(frame):
                container.mux(stream.encode(part))
            container.mux(stream.encode(None))
        return path.read_bytes()


@pytest.mark.parametrize(
    ("kind", "codec"),
    [
        ("mp4", "aac"),
        ("mp4", "flac"),
        ("mov", "pcm_s16le"),
        ("webm", "libopus"),
        ("matroska", "flac"),
        ("matroska", "aac"),
    ],
)
@pytest.mark.parametrize("start", [0.0, 0.25, 5.125, 10.0])
def test_a_part_of_a_track(
    kind: str, codec: str, start: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Little more than it is decoded; it is the whole's to the sample, in Matroska to 1 ms."""
    data = chirp(kind, codec)
    whole = read_audio(data).samples_CT[0]
    decoded: list[int] = []

    def counted(frames: Any) -> np.ndarray:
        samples_TC = join(frames)
        decoded.append(len(samples_TC))
        return samples_TC

    join = media_audio._join
    monkeypatch.setattr(media_audio, "_join", counted)
    part = read_audio(data, start, start + 2).samples_CT[0]
    assert part.shape == (96_000,)
    assert len(decoded) == 1
    assert decoded[0] < 115_000
    shifts = range(-48, 49) if kind in ("webm", "matroska") else range(1)
    middle = slice(2_000, 90_000)
    wanted = whole[int(start * 48_000) :]
    errors = [np.abs(np.roll(part, shift) - wanted[:96_000])[middle].max() for shift in shifts]
    assert min(errors) < 0.02


def test_a_part_of_a_cut_track() -> None:
    """What is missing is said, though the header promises it; what is there is given."""
    data = chirp("mp4", "flac", index_first=True)
    cut = data[: len(data) * 6 // 10]
    np.testing.assert_array_equal(
        read_audio(cut, 2.0, 4.0).samples_CT, read_audio(data, 2.0, 4.0).samples_CT
    )
    for part in [(9.0, 11.0), (0.0, None)]:
        with pytest.raises(InputError, match="truncated"):
            read_audio(cut, *part)
