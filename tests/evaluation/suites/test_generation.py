"""The suite `generation`: files in folders by class."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from openbind.errors import InputError
from openbind.evaluation.suites.generation import SUITE
from openbind.evaluation.tasks.drawing import Drawing


def test_folders_become_a_task_for_each_modality(tmp_path: Path) -> None:
    for name in ("dog", "train"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "1.png")
        (tmp_path / name / "2.wav").touch()
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "without an image.wav").touch()
    (task,) = SUITE.read(tmp_path)
    assert isinstance(task, Drawing)
    assert task.modality == "audio"
    assert list(task.labels) == ["dog", "train"]
    assert [label for label, _ in task.real] == ["dog", "train"]


def test_other_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "zzz").mkdir()
    with pytest.raises(InputError):
        SUITE.read(tmp_path)
    with pytest.raises(InputError):
        SUITE.read(tmp_path / "missing")
