"""AudioCaps on a look-alike in its true layout."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from openbind.errors import InputError
from openbind.evaluation.suites.audiocaps import SUITE
from openbind.evaluation.tasks.task import Task

VIDEOS = (("7fmOlUlwoNg", 0), ("6BJ455B1aAs", 10))


def test_read(tmp_path: Path, tones: list[Path], embed: Callable[[Task], np.ndarray]) -> None:
    """Captions of one sound come together, wherever they stand in the table."""
    lines = ["audiocap_id,youtube_id,start_time,caption"]
    lines += [
        f'{9 * k},{video},{start},"{video}, said {k}"' for k in range(5) for video, start in VIDEOS
    ]
    table = tmp_path / "test.csv"
    table.write_text("\n".join(lines) + "\n")
    for tone, (video, start) in zip(tones, VIDEOS, strict=False):
        shutil.copy(tone, tmp_path / f"{video}_{start}.wav")
    (task,) = SUITE.read(tmp_path)
    assert [len(captions) for captions in task.captions] == [5, 5]
    assert task.captions[1][4] == "6BJ455B1aAs, said 4"
    assert len(embed(task)) == 2
    table.write_text(table.read_text().replace(",10,", ",ten,"))
    with pytest.raises(InputError, match="start_time: found 'ten'"):
        SUITE.read(tmp_path)
