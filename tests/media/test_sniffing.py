"""Containers for video that hold only audio are told apart from videos."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from openbind.media.sniffing import holds_only_audio, is_transport_stream
from openbind.modalities import settle_modality


@pytest.mark.parametrize(
    ("kind", "codec", "known"),
    [
        ("webm", "libopus", True),
        ("matroska", "aac", True),
        ("mp4", "aac", True),
        ("mpegts", "aac", False),
    ],
)
def test_only_audio(
    kind: str, codec: str, known: bool, chirp: Callable[..., bytes], tmp_path: Path
) -> None:
    """A voice recording is found in the containers that phones and browsers write."""
    (tmp_path / "x").write_bytes(chirp(kind, codec))
    assert holds_only_audio(tmp_path / "x") == known
    assert is_transport_stream(tmp_path / "x") == (kind == "mpegts")
    assert not holds_only_audio(tmp_path / "missing")


def test_the_content_decides(chirp: Callable[..., bytes], tmp_path: Path) -> None:
    """A voice recording is audio, TypeScript is nothing; without audio it stays what it was."""
    (tmp_path / "voice.webm").write_bytes(chirp("webm", "libopus"))
    (tmp_path / "code.ts").write_text("export const answer = 42\n")
    both = ("video", "audio")
    assert settle_modality(tmp_path / "voice.webm", "video", both) == "audio"
    assert settle_modality(tmp_path / "voice.webm", "video", ("video",)) == "video"
    assert settle_modality(tmp_path / "code.ts", "video", both) is None


def test_nothing_hangs(tmp_path: Path) -> None:
    """A pipe isn't opened, and a file of nothing but tiny boxes is given up."""
    os.mkfifo(tmp_path / "pipe.mp4")
    assert settle_modality(tmp_path / "pipe.mp4", "video", ("video", "audio")) == "video"
    boxes = b"\0\0\0\x08free" * 200_000
    (tmp_path / "x.mp4").write_bytes(b"\0\0\0\x10ftypisom\0\0\0\0" + boxes)
    assert not holds_only_audio(tmp_path / "x.mp4")
