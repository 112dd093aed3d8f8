"""A run with a third frozen modality trains; rows without an item of it are skipped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from openbind.training.recipe_file import read_recipe
from openbind.training.run import train
from openbind.training.state import RunFolder


def test_gram(world: Any, two: Path, tmp_path: Path) -> None:
    """The loss of image, thermal and IMU falls; a row whose thermal image is broken is listed."""
    data = tmp_path / "data"
    shutil.copytree(world.folder, data)
    head, *lines = (data / "pairs.csv").read_text().splitlines()
    thermal = [line.partition(",")[0] for line in lines]
    thermal[1], thermal[2] = "bad.png", ""
    (data / "bad.png").write_bytes(b"x")
    joined = [f"{line},{name}" for line, name in zip(lines, thermal, strict=True)]
    (data / "pairs.csv").write_text("\n".join([f"{head},thermal", *joined]) + "\n")
    changes = {"start": str(two), "pairs.0.loss": "gram", "pairs.0.third": "thermal"}
    folder = RunFolder(tmp_path / "run")
    train(read_recipe(world.recipe, changes), data, folder.path)
    log = [json.loads(line) for line in folder.log.read_text().splitlines()]
    losses = [line["loss"] for line in log if "loss" in line]
    assert losses[-1] < losses[0]
    listed = [json.loads(line) for line in folder.skipped.read_text().splitlines()]
    assert [line["reason"] for line in listed] == ["it has no thermal that can be used"] * 2
