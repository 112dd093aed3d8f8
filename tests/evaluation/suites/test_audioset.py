"""AudioSet on a look-alike in its true layout."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from openbind.errors import InputError
from openbind.evaluation.suites.audioset import SUITE
from openbind.evaluation.tasks.task import Task

SEGMENTS = """\
# Segment csv created Sun Mar  5 10:54:25 2017
# num_ytids=2, num_segs=2, num_unique_labels=2, num_positive_labels=3
# YTID, start_seconds, end_seconds, positive_labels
--4gqARaEJE, 0.000, 10.000, "/m/068hy,/m/09x0r"
--BfvyPmVMo, 20.000, 30.000, "/m/09x0r"
"""


@pytest.fixture
def data(tmp_path: Path, tones: list[Path]) -> Path:
    """Three classes, two segments."""
    (tmp_path / "eval_segments.csv").write_text(SEGMENTS)
    lines = ["index,mid,display_name", "0,/m/09x0r,Speech", "1,/m/068hy,Domestic animals"]
    lines.append('2,/m/05zppz,"Male speech, man speaking"')
    (tmp_path / "class_labels_indices.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "eval").mkdir()
    for tone, name in zip(tones, ("--4gqARaEJE", "--BfvyPmVMo_20"), strict=False):
        shutil.copy(tone, tmp_path / "eval" / f"{name}.wav")
    return tmp_path


def test_read(data: Path, embed: Callable[[Task], np.ndarray]) -> None:
    """Several classes a sound, of names with commas; sounds are covered by clips."""
    (task,) = SUITE.read(data)
    assert task.classes[2] == ("Male speech, man speaking",)
    assert task.targets == [(1, 0), (0,)]
    assert task.metric == SUITE.published[0].metric == "mAP"
    assert task.settings == {"clips": "cover"}
    assert [path.name for path in task.items if isinstance(path, Path)] == [
        "--4gqARaEJE.wav",
        "--BfvyPmVMo_20.wav",
    ]
    assert len(embed(task)) == 2


def test_broken(data: Path) -> None:
    """Another table, a class that nobody knows, nothing in it."""
    table = data / "eval_segments.csv"
    table.write_text("--4gqARaEJE, 0.000, 10.000\n")
    with pytest.raises(InputError, match="expected <id>, 30"):
        SUITE.read(data)
    table.write_text(SEGMENTS.replace("/m/068hy", "/m/0"))
    with pytest.raises(InputError, match=r"class /m/0 isn't in class_labels_indices\.csv"):
        SUITE.read(data)
    table.write_text("# a comment\n")
    with pytest.raises(InputError, match="empty table"):
        SUITE.read(data)
