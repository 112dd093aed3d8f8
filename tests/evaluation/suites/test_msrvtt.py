"""MSR-VTT on a look-alike in its true layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from openbind.errors import InputError
from openbind.evaluation.suites.msrvtt import SUITE


def test_read(tmp_path: Path) -> None:
    """One caption per video, which is searched by frames, by audio, and by both."""
    (tmp_path / "MSRVTT_Videos").mkdir()
    table = tmp_path / "MSRVTT_JSFUSION_test.csv"
    lines = ["key,vid_key,video_id,sentence", "ret0,msr9770,video9770,a person is a cook"]
    table.write_text("\n".join([*lines, 'ret1,msr9771,video9771,"one dog, two cats"']) + "\n")
    frames, audio, both = SUITE.read(tmp_path)
    assert (frames.modality, audio.modality, both.modality) == ("video", "audio", "video")
    assert frames.captions == [("a person is a cook",), ("one dog, two cats",)]
    assert frames.items[0] == tmp_path / "MSRVTT_Videos" / "video9770.mp4"
    assert both.added is not None
    assert (both.added.modality, both.added.weight) == ("audio", 0.05)
    assert both.added.items == both.items == audio.items == frames.items
    table.write_text("key,video\n1,2\n")
    with pytest.raises(InputError, match="no column video_id, sentence"):
        SUITE.read(tmp_path)
