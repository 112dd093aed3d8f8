"""Flickr-SoundNet on a look-alike in its true layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from openbind.errors import InputError
from openbind.evaluation.suites.flickr_soundnet import SUITE

BOX = "<bbox><class>1</class><xmin>{}</xmin><ymin>0</ymin><xmax>256</xmax><ymax>256</ymax></bbox>"


def make_look_alike(folder: Path) -> Path:
    """One frame, two annotators."""
    for name in ("Annotations", "frames", "audio"):
        (folder / name).mkdir(parents=True)
    people = "".join(f"<subject>{BOX.format(x)}</subject>" for x in (0, 128))
    (folder / "Annotations" / "1234.xml").write_text(f"<annotation>{people}</annotation>")
    return folder


def test_read(tmp_path: Path) -> None:
    """What both have marked counts fully, what one has marked by half."""
    (task,) = SUITE.read(make_look_alike(tmp_path))
    assert task.images[0] == tmp_path / "frames" / "1234.jpg"
    marks = task.marks[0]()
    assert (marks[0, 0], marks[0, -1]) == (0.5, 1.0)


@pytest.mark.parametrize("text", ["<annotation>", "<bbox><xmin>1</xmin></bbox>", "<!DOCTYPE a>"])
def test_broken(tmp_path: Path, text: str) -> None:
    """The file is named; declarations are refused."""
    data = make_look_alike(tmp_path)
    (data / "Annotations" / "1234.xml").write_text(text)
    with pytest.raises(InputError, match="1234"):
        SUITE.read(data)
