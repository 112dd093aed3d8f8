"""The suite that ships: mosaics of both sizes, joined sounds; other folders have its layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from openbind.errors import InputError
from openbind.evaluation.held_out import held_out_folder
from openbind.evaluation.suites.mosaics import SUITE
from openbind.evaluation.tasks.joined import Joined
from openbind.evaluation.tasks.mosaics import Mosaics


def test_tasks() -> None:
    """Labeled images by text, audio and images; rooms by depth and thermal images."""
    assert SUITE.ships
    tasks = SUITE.read(held_out_folder())
    mosaics = [task for task in tasks if isinstance(task, Mosaics)]
    assert [task.side for task in mosaics] == [2, 3, 2, 2, 2, 3]
    assert set(mosaics[0].queries) == {"text", "audio", "image"}
    assert set(mosaics[2].queries) == {"text", "image"}
    assert set(mosaics[3].queries) == {"depth", "thermal"}
    assert set(mosaics[4].queries) == {"text", "audio", "image"}
    joined = [task for task in tasks if isinstance(task, Joined)]
    assert len(joined) == 2
    for task in joined:
        assert len(set(task.keys)) > 8
        assert set(task.keys) <= set(task.queries["text"].keys)


def test_no_table(tmp_path: Path) -> None:
    """What is missing is named."""
    with pytest.raises(InputError, match=r"held_out\.csv"):
        SUITE.read(tmp_path)
