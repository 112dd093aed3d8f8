"""Clips are found by id and second, wherever they lie; of others there is only a path."""

from __future__ import annotations

from pathlib import Path

import pytest

from openbind.errors import InputError
from openbind.evaluation.suites.youtube import ClipFolder


def test_names(tmp_path: Path) -> None:
    """With the second in any width, with more behind it, or without; ids may have _ and -."""
    names = {
        ("--4gqARaEJE", 0): "a/--4gqARaEJE.wav",
        ("_1_2_3_4_5_", 30): "b/c/_1_2_3_4_5__30.flac",
        ("abcdefghijk", 7): "b/abcdefghijk_000007.mp4",
        ("ABCDEFGHIJK", 1): "b/ABCDEFGHIJK_000001_000011.MP4",
    }
    for name in [*names.values(), "b/abcdefghijk_000008.txt", "b/longer_than_eleven.wav"]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    clips = ClipFolder(tmp_path, "audio", "video")
    assert {key: clips.find(*key) for key in names} == {
        key: tmp_path / name for key, name in names.items()
    }
    for video, second in (("abcdefghijk", 8), ("longer_than", 0), ("-----------", 3)):
        assert not clips.find(video, second).exists()
    with pytest.raises(InputError, match=r"no clips; expected <id>\.\*"):
        ClipFolder(tmp_path / "a", "video")
