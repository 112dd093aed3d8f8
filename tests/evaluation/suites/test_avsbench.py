"""AVSBench on a look-alike in its true layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from openbind.errors import InputError
from openbind.evaluation.suites.avsbench import SUITE


def make_look_alike(folder: Path) -> Path:
    """One video of each split, with a mask of the left half."""
    lines = ["name,split,category", "aaa,test,dog_barking", "bbb,train,dog_barking"]
    folder.mkdir(exist_ok=True)
    (folder / "s4_meta_data.csv").write_text("\n".join(lines) + "\n")
    masks = folder / "s4_data" / "gt_masks" / "test" / "dog_barking" / "aaa"
    masks.mkdir(parents=True)
    mask = np.zeros((64, 64), np.uint8)
    mask[:, :32] = 255
    for number in range(1, 6):
        Image.fromarray(mask).save(masks / f"aaa_{number}.png")
    return folder


def test_read(tmp_path: Path) -> None:
    """Five frames of the test video, each with its sound and mask."""
    (task,) = SUITE.read(make_look_alike(tmp_path))
    assert len(task.items) == 5
    assert set(task.items) == {tmp_path / "s4_data/audio_wav/test/dog_barking/aaa.wav"}
    assert task.images[4].name == "aaa_5.png"
    assert task.metric == "mIoU"
    marks = task.marks[0]()
    assert (marks[0, 0], marks[0, -1]) == (1, 0)


def test_broken(tmp_path: Path) -> None:
    """No test split."""
    data = make_look_alike(tmp_path)
    table = data / "s4_meta_data.csv"
    table.write_text(table.read_text().replace("test", "val"))
    with pytest.raises(InputError, match="test"):
        SUITE.read(data)
