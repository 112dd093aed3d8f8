"""Complete files pass, truncated ones are detected; other formats are left to their decoders."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from openbind.errors import InputError
from openbind.media.truncation import check_truncation, has_length_header, is_chained

NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 60_000)


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, NOISE, 22_050, format=kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["WAV", "AIFF", "OGG", "FLAC"])
def test_whole_files_pass(kind: str, tmp_path: Path) -> None:
    """Bytes and paths pass; a stream is left at its start."""
    data = encoded(kind)
    stream = io.BytesIO(data)
    check_truncation("x", stream)
    assert stream.tell() == 0
    (tmp_path / "x").write_bytes(data)
    check_truncation("x", tmp_path / "x")


@pytest.mark.parametrize("kind", ["WAV", "AIFF", "OGG"])
@pytest.mark.parametrize("share", [0.3, 0.6])
def test_cut_files_are_found(kind: str, share: float) -> None:
    """Files are refused wherever they are cut."""
    data = encoded(kind)
    with pytest.raises(InputError, match="truncated"):
        check_truncation("x", io.BytesIO(data[: int(len(data) * share)]))


def test_most_of_a_file_is_used() -> None:
    """A WAV without its last twentieth is used, with a warning that says so."""
    data = encoded("WAV")
    with pytest.warns(UserWarning, match="truncated"):
        check_truncation("x", io.BytesIO(data[: int(len(data) * 0.95)]))


@pytest.mark.parametrize("riff", [None, 0, 10, 10**7, 0xFFFFFFFF])
@pytest.mark.parametrize("samples", [None, 0, 0xFFFFFFFF])
def test_wrong_sizes_pass(riff: int | None, samples: int | None) -> None:
    """What RIFF says of the whole file doesn't count, nor a size that was never filled in."""
    data = bytearray(encoded("WAV"))
    place = data.index(b"data") + 4
    if riff is not None:
        data[4:8] = riff.to_bytes(4, "little")
    if samples is not None:
        data[place : place + 4] = samples.to_bytes(4, "little")
    check_truncation("x", io.BytesIO(bytes(data)))


def test_chained_recordings(tmp_path: Path) -> None:
    """Two Ogg files one after the other are found; an end mark isn't needed."""
    one = encoded("OGG")
    (tmp_path / "x").write_bytes(one + one)
    assert is_chained(tmp_path / "x")
    assert is_chained(io.BytesIO(one + one))
    assert not is_chained(io.BytesIO(one))
    assert not is_chained(io.BytesIO(encoded("FLAC")))
    unmarked = bytearray(one)
    unmarked[one.rindex(b"OggS") + 5] &= ~4
    check_truncation("x", io.BytesIO(bytes(unmarked)))


def test_length_of_mp3(tmp_path: Path) -> None:
    """The header with the length is found, also after an ID3 tag."""
    data = encoded("MP3")
    second = data.index(data[:2], 4)
    tag = b"ID3\x04\0\0\0\0\x02\x01" + bytes(257)
    for content, expected in ((data, True), (tag + data, True), (data[second:], False)):
        (tmp_path / "x.mp3").write_bytes(content)
        stream = io.BytesIO(content)
        assert has_length_header(stream) == has_length_header(tmp_path / "x.mp3") == expected
        assert stream.tell() == 0
