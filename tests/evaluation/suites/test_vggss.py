"""VGG-SS on a look-alike in its true layout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from openbind.errors import InputError
from openbind.evaluation.suites.vggss import SUITE
from openbind.evaluation.tasks.regions import SIDE

NAME = "0a0b0c0d0e0_000012"


def make_look_alike(folder: Path) -> Path:
    """Two clips, one of which is no longer there."""
    for name in ("frames", "audio"):
        (folder / name).mkdir(parents=True)
    (folder / "frames" / f"{NAME}.jpg").touch()
    (folder / "audio" / f"{NAME}.wav").touch()
    rows = [
        {"file": NAME, "class": "dog barking", "bbox": [[0.0, 0.0, 0.5, 0.5], [0.4, 0.4, 1.2, 1]]},
        {"file": "zzzzzzzzzzz_000001", "class": "cat purring", "bbox": [[0, 0, 1, 1]]},
    ]
    (folder / "vggss.json").write_text(json.dumps(rows))
    return folder


def test_read(tmp_path: Path) -> None:
    """Boxes are joined and stay in the frame."""
    (task,) = SUITE.read(make_look_alike(tmp_path))
    assert [path.name for path in task.items] == [f"{NAME}.wav"]
    marks = task.marks[0]()
    assert marks.shape == (SIDE, SIDE)
    assert marks[0, 0] == marks[-1, -1] == 1
    assert marks[0, -1] == 0
    assert SUITE.published[0].task == task.name


def test_broken(tmp_path: Path) -> None:
    """Another table; no frame of it."""
    data = make_look_alike(tmp_path)
    (data / "frames" / f"{NAME}.jpg").unlink()
    with pytest.raises(InputError, match="frames"):
        SUITE.read(data)
    (data / "vggss.json").write_text('[{"name": 1}]')
    with pytest.raises(InputError, match="bbox"):
        SUITE.read(data)
