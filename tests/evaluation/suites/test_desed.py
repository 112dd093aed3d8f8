"""DESED on a look-alike in its true layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from openbind.errors import InputError
from openbind.evaluation.suites.desed import SUITE


def make_look_alike(folder: Path) -> Path:
    """Two events of one kind in a clip, one of another, and a clip without."""
    (folder / "metadata" / "validation").mkdir(parents=True)
    (folder / "audio" / "validation").mkdir(parents=True)
    lines = ["filename\tonset\toffset\tevent_label", "a.wav\t0.5\t2.0\tDog"]
    lines += ["a.wav\t4.0\t5.5\tDog", "a.wav\t1.0\t9.0\tElectric_shaver_toothbrush", "b.wav\t\t\t"]
    (folder / "metadata/validation/validation.tsv").write_text("\n".join(lines) + "\n")
    return folder


def test_read(tmp_path: Path) -> None:
    """One query for each kind in a clip."""
    (task,) = SUITE.read(make_look_alike(tmp_path))
    assert task.items == ["dog", "electric shaver toothbrush"]
    assert task.spans == [[(0.5, 2.0), (4.0, 5.5)], [(1.0, 9.0)]]
    assert {path.name for path in task.recordings} == {"a.wav"}


def test_broken(tmp_path: Path) -> None:
    """Other columns, a time that is none."""
    data = make_look_alike(tmp_path)
    table = data / "metadata/validation/validation.tsv"
    good = table.read_text()
    table.write_text(good.replace("0.5", "soon"))
    with pytest.raises(InputError, match="soon"):
        SUITE.read(data)
    table.write_text(good.replace("onset", "start"))
    with pytest.raises(InputError, match="start"):
        SUITE.read(data)
