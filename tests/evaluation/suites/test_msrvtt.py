"""MSR-VTT on a look-alike in its true layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from openbind.errors import InputError
from openbind.evaluation.suites.msrvtt import SUITE


def test_read(tmp_path: Path) -> None:
    """One caption a video."""
    (tmp_path / "MSRVTT_Videos").mkdir()
    table = tmp_path / "MSRVTT_JSFUSION_test.csv"
    lines = ["key,vid_key,video_id,sentence", "ret0,msr9770,video9770,a person is a cook"]
    table.write_text("\n".join([*lines, 'ret1,msr9771,video9771,"one dog, two cats"']) + "\n")
    (task,) = SUITE.read(tmp_path)
    assert task.modality == "video"
    assert task.captions == [("a person is a cook",), ("one dog, two cats",)]
    assert task.paths[0] == tmp_path / "MSRVTT_Videos" / "video9770.mp4"
    table.write_text("key,video\n1,2\n")
    with pytest.raises(InputError, match="no column video_id, sentence"):
        SUITE.read(tmp_path)
