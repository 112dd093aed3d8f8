"""Audio of every kind becomes float32 with its rate; everything else an InputError."""

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
from openbind.media.audio import OpenAudio, read_audio, read_part

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
    """All channels are read within the format's resolution, with the rate."""
    audio = read_audio(encoded(STEREO_CT, kind, subtype))
    assert audio.rate_hz == RATE
    assert audio.samples_CT.dtype == np.float32
    np.testing.assert_allclose(audio.samples_CT, STEREO_CT, atol=tolerance)
    assert audio.seconds == pytest.approx(5000 / RATE)


@pytest.mark.parametrize("kind", ["OGG", "MP3"])
def test_lossy_formats(kind: str) -> None:
    """The length is right to a few frames, and the level is close."""
    tone = np.sin(np.arange(RATE) * 2 * np.pi * 440 / RATE).astype(np.float32)[None] * 0.5
    audio = read_audio(encoded(tone, kind))
    assert audio.samples_CT.shape[1] == pytest.approx(RATE, rel=0.1)
    assert np.sqrt((audio.samples_CT**2).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)


def test_m4a_through_ffmpeg(tmp_path: Path) -> None:
    """Formats that libsndfile can't read are decoded by FFmpeg."""
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
    """Channels first or last, arrays, tensors and dictionaries are the same audio."""
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
    """The full scale of each type becomes -1 to 1."""
    audio = read_audio((np.full(9, value, dtype), RATE))
    np.testing.assert_allclose(audio.samples_CT, expected)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no/such/file.wav", "no such file"),
        (b"", "empty"),
        (b"RIFF not really", "not audio"),
        (encoded(STEREO_CT[:, :0], "WAV"), "empty audio"),
        (encoded(STEREO_CT, "FLAC")[:3000], "truncated|not audio|broken"),
        ((np.zeros(0), RATE), "empty audio"),
        ((np.array([0.0, np.nan]), RATE), "NaN"),
        ((np.array([0.0, 1e18]), RATE), "magnitude 1e"),
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
    """Each error names what was found and what was expected."""
    with pytest.raises(InputError, match=message):
        read_audio(source)


def test_truncated_wav(tmp_path: Path) -> None:
    """A WAV shorter than its header is refused."""
    path = tmp_path / "cut.wav"
    data = encoded(STEREO_CT, "WAV", "PCM_16")
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="truncated"):
        read_audio(path)


def test_bad_files(tmp_path: Path) -> None:
    """A directory, an empty file, and an image with the extension of audio are refused."""
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
    """A part between two times equals that of the whole, cut to whole samples."""
    source = (STEREO_CT, RATE) if kind == "array" else encoded(STEREO_CT, kind)
    whole = read_audio(source).samples_CT
    part = read_audio(source, 0.05, 0.15).samples_CT
    np.testing.assert_allclose(part, whole[:, int(0.05 * RATE) : int(0.15 * RATE)], atol=1e-6)
    np.testing.assert_allclose(
        read_audio(source, 0.2, 99).samples_CT, whole[:, int(0.2 * RATE) :], atol=1e-6
    )
    with pytest.raises(InputError, match="empty audio"):
        read_audio(source, 5.0)


def test_flac_of_unknown_length() -> None:
    """A FLAC written into a pipe is read to its end."""
    data = bytearray(encoded(STEREO_CT, "FLAC"))
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    np.testing.assert_allclose(read_audio(bytes(data)).samples_CT, STEREO_CT, atol=1e-4)


def test_mp3_of_unknown_length() -> None:
    """An MP3 of variable bit rate without its header is read whole."""
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
    """Unknown data is bad input; a format of FFmpeg is a missing extra."""
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match="not audio of a known format"):
        read_audio(b"just words, no sound at all")
    with pytest.raises(MissingExtraError, match=r"openbind\[video\]"):
        read_audio(b"\0\0\0\x20ftypM4A " + bytes(100))


@pytest.mark.parametrize("rate", [float("inf"), float("nan"), -5, None])
def test_bad_rates(rate: object) -> None:
    """Rates that are no positive numbers are refused."""
    with pytest.raises(InputError, match="1 Hz or more"):
        read_audio((np.zeros(5), rate))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["WAV", "FLAC", "AIFF"]), st.integers(0, 4000), st.integers(0, 255))
def test_damage_escapes_as_nothing_else(kind: str, place: int, value: int) -> None:
    """One changed byte results in audio or an InputError."""
    data = bytearray(encoded(STEREO_CT[:, :800], kind))
    data[place % len(data)] = value
    with TemporaryDirectory() as folder:
        path = Path(folder) / "damaged"
        path.write_bytes(data)
        with contextlib.suppress(InputError):
            read_audio(path)


@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_a_part_that_depends_on_the_length(kind: str) -> None:
    """`select` gets the number of samples and the rate, once, for files and arrays alike."""
    received: list[tuple[int, int]] = []

    def last_tenth(samples: int, rate_hz: int) -> tuple[int, int]:
        received.append((samples, rate_hz))
        return samples - samples // 10, samples

    for source in (encoded(STEREO_CT, kind), (STEREO_CT, RATE)):
        found = read_part(source, last_tenth)
        np.testing.assert_allclose(found.samples_CT, STEREO_CT[:, 4_500:], atol=1e-4)
    assert received == [(5_000, RATE)] * 2


Chirp = Callable[[str, str], bytes]
SOURCES: dict[str, Callable[[Chirp], Any]] = {
    "array": lambda _: (STEREO_CT, RATE),
    **{kind: lambda _, kind=kind: encoded(np.tile(STEREO_CT, 10), kind) for kind in ("WAV", "OGG")},
    "MP3": lambda _: encoded(np.tile(STEREO_CT, 10), "MP3"),
    "aac in mp4": lambda chirp: chirp("mp4", "aac"),
    "aac in a transport stream": lambda chirp: chirp("mpegts", "aac"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_parts_do_not_depend_on_each_other(name: str, chirp: Chirp) -> None:
    """Parts of one open source, in any order and overlapping, equal parts opened singly."""
    source = SOURCES[name](chirp)
    with OpenAudio(source) as audio:
        for tenth in (1, 2, 3, 4, 7, 0, 3, 9):

            def select(samples: int, rate_hz: int, tenth: int = tenth) -> tuple[int, int]:
                return samples * tenth // 10, min(samples, samples * tenth // 10 + samples // 8)

            found_CT, single_CT = (
                audio.read(select).samples_CT,
                read_part(source, select).samples_CT,
            )
            # libsndfile rounds an MP3 in another way after it has sought.
            np.testing.assert_allclose(found_CT, single_CT, rtol=0, atol=1e-6 * (name == "MP3"))


@pytest.mark.parametrize("name", ["OGG", "MP3", "FLAC"])
def test_parts_equal_the_whole(name: str) -> None:
    """Also those that begin in the last page of an Ogg file, where libsndfile seeks wrongly."""
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", RATE, 2, format=name) as file:
        for _ in range(500):  # libsndfile overflows its stack on a large block of Vorbis
            file.write(STEREO_CT.T)
    source = buffer.getvalue()
    whole_CT = read_audio(source).samples_CT
    for start in (0, 1_000_000, 1_200_000, 2_400_000, whole_CT.shape[1] - 2_000):
        found = read_part(source, lambda samples, _, start=start: (start, start + 1_000))
        expected_CT = whole_CT[:, start : start + 1_000]
        np.testing.assert_allclose(found.samples_CT, expected_CT, rtol=0, atol=1e-6)


def test_a_sound_file_is_opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a WAV are sought in one open file."""
    opened = 0

    class Counted(soundfile.SoundFile):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            nonlocal opened
            opened += 1
            super().__init__(*arguments, **options)

    data = encoded(STEREO_CT, "WAV")
    monkeypatch.setattr(soundfile, "SoundFile", Counted)
    with OpenAudio(data) as audio:
        for tenth in range(10):
            audio.read(lambda samples, rate_hz, t=tenth: (t * 500, t * 500 + 500))
    assert opened == 1


@pytest.mark.parametrize("kind", ["MP3", "OGG"])
def test_recordings_one_after_the_other(kind: str) -> None:
    """Concatenated MP3 and chained Ogg are read to their end, and measured so."""
    data = encoded(np.tile(STEREO_CT, 10), kind)
    single = read_audio(data).seconds
    assert read_audio(data + data).seconds == pytest.approx(2 * single, abs=0.15)
    with OpenAudio(data + data) as audio:
        assert audio.measure() == pytest.approx(2 * single, abs=0.15)


def test_sizes_that_were_never_filled_in() -> None:
    """A WAV whose sizes are 0 is read to its end."""
    data = bytearray(encoded(STEREO_CT, "WAV"))
    place = data.index(b"data") + 4
    data[4:8] = data[place : place + 4] = bytes(4)
    np.testing.assert_allclose(read_audio(bytes(data)).samples_CT, STEREO_CT, atol=1e-4)
