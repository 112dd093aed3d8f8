"""What ships as a held-out set, and so is never trained on: in recipes/held_out's selection."""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SELECTION = ROOT / "recipes" / "held_out" / "selection.csv"
SAMPLES = ROOT / "src" / "openbind" / "assets" / "samples" / "samples.csv"
CLIP = re.compile(r"ESC-50 fold \d, (\S+)\.ogg")
"""In the source of a sample: the clip that it is."""


@cache
def held_out_photographs() -> frozenset[str]:
    """Return the files, relative to the data folder."""
    return frozenset(r["file"] for r in _read(SELECTION) if r["package"] == "caltech101")


@cache
def held_out_clips() -> frozenset[str]:
    """Return the names of recordings' files, without their ending."""
    rows = _read(SELECTION)
    clips = {Path(row["file"]).stem for row in rows if row["package"] == "recordings"}
    used = {row["file"] for row in rows if row["package"] == "samples"}
    sources = [row["source"] for row in _read(SAMPLES) if row["path"] in used]
    return frozenset(clips | {found[1] for found in map(CLIP.match, sources) if found})


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
