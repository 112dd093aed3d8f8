"""Write what `thermal.yaml` and `depth.yaml` train on: pictures with maps of the same view."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from cells import read_lines, write_lines

THERMAL = Path("scenes/thermal.jsonl")
DEPTH = Path("scenes/depth.jsonl")
FOLDS = 5


def write_thermal(work: Path, data: Path) -> list[Path]:
    """Write the manifest of RoadScene's pairs; returns its pictures.

    Args:
        work: the folder that it goes below.
        data: holds `roadscene/{visible,thermal}/<name>.jpg`.
    """
    pictures = sorted((data / "roadscene" / "visible").glob("*.jpg"))
    fold_N = np.random.default_rng(0).permutation(len(pictures)) % FOLDS + 1
    lines = [
        {
            "image": str(path.resolve()),
            "thermal": str((data / "roadscene" / "thermal" / path.name).resolve()),
            "split": str(fold),
        }
        for path, fold in zip(pictures, fold_N, strict=True)
    ]
    write_lines(work / THERMAL, lines)
    return pictures


def write_depth(work: Path) -> list[Path]:
    """Render furnished rooms and write their manifest; returns a picture of each training room.

    Args:
        work: the folder, with the unpacked packages; what is rendered already is kept.
    """
    script = Path(__file__).parents[1] / "rooms" / "write_rooms.py"
    subprocess.run([sys.executable, script, "--work", work, "--out", work], check=True)
    lines, shown = [], {}
    for split in ("train", "val"):
        for row in read_lines(work / "rooms" / f"{split}.jsonl"):
            lines.append({**row, "split": split})
            if split == "train":
                shown.setdefault(row["scene"], work / row["image"])
    write_lines(work / DEPTH, lines)
    return list(shown.values())
