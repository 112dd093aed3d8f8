"""LLVIP on a look-alike in its true layout: people and as large pieces without them are cut out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from openbind.errors import InputError
from openbind.evaluation.suites.llvip import SUITE, Crop, draw_background, read_boxes
from openbind.evaluation.tasks.task import Task
from openbind.modalities.spec import Part

OBJECT = (
    "<object><name>person</name><bndbox><xmin>{}</xmin><ymin>{}</ymin>"
    "<xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
)
SIZE = "<size><width>1280</width><height>1024</height><depth>3</depth></size>"


def make_look_alike(folder: Path) -> Path:
    """An image of a cold street with two warm people, one half outside, and one of nobody."""
    (folder / "infrared" / "test").mkdir(parents=True)
    (folder / "Annotations").mkdir()
    pixels = np.full((1024, 1280), 40, np.uint8)
    pixels[300:600, 200:320] = np.linspace(230, 255, 120)
    boxes = [(200, 300, 320, 600), (1240, 500, 1330, 720)]
    for name, people in (("190001", boxes), ("190002", [])):
        Image.fromarray(pixels).save(folder / "infrared" / "test" / f"{name}.jpg")
        things = "".join(OBJECT.format(*box) for box in people)
        xml = f"<annotation>{SIZE}{things}</annotation>"
        (folder / "Annotations" / f"{name}.xml").write_text(xml)
    return folder


def test_read(tmp_path: Path, embed: Callable[[Task], np.ndarray]) -> None:
    """Two people, two background crops; a crop shows its box."""
    (task,) = SUITE.read(make_look_alike(tmp_path))
    assert task.targets == [(0,), (0,), (1,), (1,)]
    assert task.classes[0] == ("person", "man", "woman", "people")
    assert SUITE.read(tmp_path) == (task,)  # drawn alike each time
    shown = []
    for crop in task.items:
        assert isinstance(crop, Crop)
        part = crop.read()
        assert isinstance(part, Part)
        shown.append(part.view.crop(np.asarray(Image.open(part.item))))
    assert [piece.shape for piece in shown] == [(300, 120), (220, 40)] * 2
    assert shown[0].mean() > 240
    assert shown[2].mean() < 45
    vectors_NE = embed(task)
    assert not np.allclose(vectors_NE[0], vectors_NE[2], atol=1e-4)


def test_background_touches_nobody() -> None:
    """As large as the person it is for, inside, apart from everybody; none where none fits."""
    people = [(0.0, 0.0, 60.0, 90.0), (70.0, 10.0, 100.0, 90.0)]
    for seed in range(20):
        for left, top, right, bottom in draw_background((200, 100), people, seed):
            assert left >= 100 or top >= 90
            assert right <= 200
            assert bottom <= 100
            assert (right - left, bottom - top) in [
                pytest.approx((60.0, 90.0)),
                pytest.approx((30.0, 80.0)),
            ]
    assert draw_background((100, 100), [(0.0, 0.0, 90.0, 90.0)], 0) == []


def test_broken(tmp_path: Path) -> None:
    """Malformed boxes, or none for an image."""
    data = make_look_alike(tmp_path)
    xml = data / "Annotations" / "190001.xml"
    xml.write_text("<annotation></annotation>")
    with pytest.raises(InputError, match="Pascal VOC"):
        read_boxes(xml)
    xml.unlink()
    with pytest.raises(InputError, match=r"190001\.xml: expected boxes"):
        SUITE.read(data)
