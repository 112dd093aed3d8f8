"""VGGSound on a look-alike in its true layout."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from openbind.errors import InputError
from openbind.evaluation.suites.vggsound import SUITE
from openbind.evaluation.tasks.task import Task


def test_read(tmp_path: Path, tones: list[Path], embed: Callable[[Task], np.ndarray]) -> None:
    """Class names are those of all rows, items those of the test split."""
    rows = [
        "---g-f_I2yQ,1,people marching,test",
        "--0PQM4-hqg,30,waterfall burbling,train",
        '--56QUhyDQM,185,"playing tennis, doubles",test',
    ]
    (tmp_path / "vggsound.csv").write_text("\n".join(rows) + "\n")
    for tone, name in zip(tones, ("---g-f_I2yQ_000001", "--56QUhyDQM_000185"), strict=False):
        shutil.copy(tone, tmp_path / f"{name}.wav")
    (task,) = SUITE.read(tmp_path)
    names = ("people marching", "playing tennis, doubles", "waterfall burbling")
    assert task.classes == [(name,) for name in names]
    assert task.targets == [(0,), (1,)]
    assert len(embed(task)) == 2


def test_broken(tmp_path: Path) -> None:
    """Malformed rows, and no test split."""
    table = tmp_path / "vggsound.csv"
    table.write_text("id,start,label,split\n")
    with pytest.raises(InputError, match="expected <id>,30,label,split"):
        SUITE.read(tmp_path)
    table.write_text("--0PQM4-hqg,30,waterfall burbling,train\n")
    with pytest.raises(InputError, match="no rows of the split 'test'"):
        SUITE.read(tmp_path)
