"""Parts of audio tracks are sought where the container allows, and equal those of the whole."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import av
import numpy as np
import pytest

from openbind.errors import InputError
from openbind.media import soundtrack
from openbind.media.audio import OpenAudio, read_audio
from openbind.media.soundtrack import seek_track

Chirp = Callable[..., bytes]


def test_many_channels_through_ffmpeg() -> None:
    """More channels than the eight planes of FFmpeg's frames are read."""
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
    kind: str, codec: str, start: float, chirp: Chirp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Little more than the part is decoded, exact to the sample, in Matroska to 1 ms."""
    data = chirp(kind, codec)
    whole = read_audio(data).samples_CT[0]
    decoded: list[int] = []

    def counted(frames: Any) -> np.ndarray:
        samples_TC = join(frames)
        decoded.append(len(samples_TC))
        return samples_TC

    join = soundtrack._join
    monkeypatch.setattr(soundtrack, "_join", counted)
    part = read_audio(data, start, start + 2).samples_CT[0]
    assert part.shape == (96_000,)
    assert len(decoded) == 1
    assert decoded[0] < 115_000
    shifts = range(-48, 49) if kind in ("webm", "matroska") else range(1)
    middle = slice(2_000, 90_000)
    wanted = whole[int(start * 48_000) :]
    errors = [np.abs(np.roll(part, shift) - wanted[:96_000])[middle].max() for shift in shifts]
    assert min(errors) < 0.02


def test_a_part_of_a_truncated_track(chirp: Chirp) -> None:
    """Parts before the cut are read; parts after it are refused as truncated."""
    data = chirp("mp4", "flac", index_first=True)
    cut = data[: len(data) * 6 // 10]
    np.testing.assert_array_equal(
        read_audio(cut, 2.0, 4.0).samples_CT, read_audio(data, 2.0, 4.0).samples_CT
    )
    for part in [(9.0, 11.0), (0.0, None)]:
        with pytest.raises(InputError, match="truncated"):
            read_audio(cut, *part)


def test_what_cannot_be_sought_is_decoded_once(
    chirp: Chirp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts of a transport stream are cut from one decoding of the whole."""
    decodings = 0
    demux_whole = soundtrack.demux_whole

    def counted(*arguments: Any) -> Any:
        nonlocal decodings
        decodings += 1
        return demux_whole(*arguments)

    monkeypatch.setattr(soundtrack, "demux_whole", counted)
    with OpenAudio(chirp("mpegts", "aac")) as audio:
        for second in range(5):
            audio.read(lambda samples, rate_hz, s=second: (s * rate_hz, (s + 1) * rate_hz))
    assert decodings == 1


@pytest.mark.parametrize(
    ("kind", "is_sought"), [("mp4", True), ("matroska", True), ("mpegts", False), ("adts", False)]
)
def test_which_containers_are_sought(kind: str, is_sought: bool, chirp: Chirp) -> None:
    """Containers without an index, and parts of more than half, have to be decoded whole."""
    data = chirp(kind, "aac")
    part = seek_track(data, lambda samples, rate_hz: (samples // 2, samples // 2 + rate_hz))
    assert (part is not None) == is_sought
    assert seek_track(data, lambda samples, rate_hz: (0, samples)) is None


def test_the_default_track_is_read() -> None:
    """Not the first, where another one is marked as the default."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        tracks: list[Any] = [
            container.add_stream("pcm_s16le", rate=8_000, layout="mono") for _ in "ab"
        ]
        tracks[0].disposition = av.stream.Disposition(0)
        tracks[1].disposition = av.stream.Disposition.default
        for track, level in zip(tracks, (0, 8_000), strict=True):
            wave = av.AudioFrame.from_ndarray(np.full((1, 4_000), level, np.int16), "s16", "mono")
            wave.rate = 8_000
            container.mux([*track.encode(wave), *track.encode(None)])
    assert read_audio(buffer.getvalue()).samples_CT.max() > 0.2
