"""An image has a line for each row: its item, and the items that it retrieves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from openbind.embedding.many import Entry
from openbind.training.samples import FRAME, GAP, TILE, write_samples
from openbind.training.validation import SHOWN, Example


def test_lines(tmp_path: Path) -> None:
    """Items are drawn in order, a row's own in a green frame; texts and broken files by name."""
    for name, color in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
        Image.new("RGB", (20, 20), color).save(tmp_path / f"{name}.png")
    (tmp_path / "bad.png").write_bytes(b"x")
    found = tuple(Entry("image", tmp_path / f"{name}.png") for name in ("blue", "red", "bad"))
    examples = [Example(Entry("text", "a red square"), found, (False, True, False))] * 2
    path = tmp_path / "samples" / "1.jpg"
    write_samples(path, examples)
    pixels = np.asarray(Image.open(path)).astype(int)
    side = TILE + 2 * FRAME
    assert pixels.shape == (2 * side, side * (SHOWN + 1) + GAP, 3)
    centers = [pixels[side // 2, side * (i + 1) + GAP + side // 2] for i in range(2)]
    assert centers[0][2] > 200 > 60 > centers[0][0]
    assert centers[1][0] > 200 > 60 > centers[1][2]
    frames = [pixels[side // 2, side * (i + 1) + GAP + FRAME // 2] for i in range(2)]
    assert frames[1][1] > frames[1][0] + 50  # green
    assert abs(frames[0][1] - frames[0][0]) < 20  # grey
    assert pixels[:side, :side].min() < 100  # the text
