"""Places365 on a look-alike in its true layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from openbind.errors import InputError
from openbind.evaluation.suites.places365 import SUITE, name_scene


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three scenes and two images."""
    (tmp_path / "val_256").mkdir()
    scenes = "/a/airfield 0\n/a/airplane_cabin 1\n/b/basketball_court/indoor 2\n"
    (tmp_path / "categories_places365.txt").write_text(scenes)
    labels = "Places365_val_00000001.jpg 2\nPlaces365_val_00000002.jpg 0\n"
    (tmp_path / "places365_val.txt").write_text(labels)
    return tmp_path


def test_read(data: Path) -> None:
    """Readable class names; targets by number."""
    (task,) = SUITE.read(data)
    assert task.classes == [("airfield",), ("airplane cabin",), ("basketball court indoor",)]
    assert task.targets == [(2,), (0,)]
    assert task.items[0] == data / "val_256" / "Places365_val_00000001.jpg"


def test_broken(data: Path) -> None:
    """A malformed line, an unknown class, an empty file."""
    labels = data / "places365_val.txt"
    labels.write_text("Places365_val_00000001.jpg,2\n")
    with pytest.raises(InputError, match="line 1: expected a name and a number"):
        SUITE.read(data)
    labels.write_text("Places365_val_00000001.jpg 3\n")
    with pytest.raises(InputError, match=r"class 3 isn't in categories_places365\.txt"):
        SUITE.read(data)
    labels.write_text("")
    with pytest.raises(InputError, match="empty file"):
        SUITE.read(data)


def test_name_scene() -> None:
    """The leading letter is dropped, separators become spaces."""
    assert name_scene("/c/church/outdoor") == "church outdoor"
