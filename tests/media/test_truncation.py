"""Complete files pass, truncated ones are detected; other formats are left to their decoders."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from openbind.media.truncation import find_truncation, has_length_header

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
    assert find_truncation(stream) is None
    assert stream.tell() == 0
    (tmp_path / "x").write_bytes(data)
    assert find_truncation(tmp_path / "x") is None


@pytest.mark.parametrize("kind", ["WAV", "AIFF", "OGG"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.999])
def test_cut_files_are_found(kind: str, share: float) -> None:
    """Files are detected wherever they are cut."""
    data = encoded(kind)
    found = find_truncation(io.BytesIO(data[: int(len(data) * share)]))
    assert found is not None
    assert found.startswith("truncated")


def test_streamed_wav_passes() -> None:
    """A header without a length doesn't mean truncation."""
    data = bytearray(encoded("WAV"))
    data[4:8] = b"\xff\xff\xff\xff"
    assert find_truncation(io.BytesIO(bytes(data))) is None


def test_odd_chunk_without_padding_passes() -> None:
    """Many writers count a byte of padding that they omit."""
    data = bytearray(encoded("WAV"))
    data[4:8] = (len(data) - 8 + 1).to_bytes(4, "little")
    assert find_truncation(io.BytesIO(bytes(data))) is None


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
