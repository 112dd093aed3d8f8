"""Media types by extension don't depend on the system's table."""

from __future__ import annotations

from pathlib import Path

import pytest

from openbind.media.types import media_type, plays_as_audio, plays_as_video


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("a.WEBP", "image/webp"),
        ("b.ogg", "audio/ogg"),
        ("c.flac", "audio/flac"),
        (Path("d.mp4"), "video/mp4"),
        ("e.csv", None),
        ("f", None),
    ],
)
def test_types(path: str | Path, kind: str | None) -> None:
    """Extensions match in any case; files that no browser displays have no type."""
    assert media_type(path) == kind


def test_players() -> None:
    """A file plays as audio, as video, or not at all."""
    assert plays_as_audio("a.ogg")
    assert not plays_as_video("a.ogg")
    assert plays_as_video(Path("a.webm"))
    assert not plays_as_audio("a.png")
