"""ImageNet on a look-alike in its true layout."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from openbind.errors import InputError
from openbind.evaluation.suites.imagenet import SUITE, read_names


def test_read(tmp_path: Path) -> None:
    """Folders in order of their WordNet ids are the classes."""
    for index in range(1_000):
        (tmp_path / "val" / f"n{index:08}").mkdir(parents=True)
    with pytest.raises(InputError, match=r"no \*\.JPEG"):
        SUITE.read(tmp_path)
    for index in (7, 0):
        path = tmp_path / "val" / f"n{index:08}" / "ILSVRC2012_val_00000293.JPEG"
        Image.new("RGB", (8, 8)).save(path)
    (task,) = SUITE.read(tmp_path)
    assert task.targets == [(0,), (7,)]
    assert task.classes[0] == ("tench",)
    assert len(task.classes) == 1_000


def test_unsorted(tmp_path: Path) -> None:
    """Images as the archive has them, in one folder, are refused with what to do."""
    (tmp_path / "val").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "val" / "ILSVRC2012_val_00000001.JPEG")
    with pytest.raises(InputError, match="expected 1,000 folders"):
        SUITE.read(tmp_path)


def test_names() -> None:
    """One name a class; some that are known, by their places."""
    names = read_names()
    assert len(names) == 1_000
    assert (names[1], names[7], names[999]) == ("goldfish", "rooster", "toilet paper")
