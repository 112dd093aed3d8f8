"""Write who made each item that the starter was trained on, and under which license.

One row an item: the set, the item's name in it, its license, its author where the data name one,
and its address or the collection that it was taken from. The table ships with the weights.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Iterator
from pathlib import Path

from held_out import held_out_clips

Row = tuple[str, str, str, str, str]

HEAD: Row = ("set", "item", "license", "author", "source")
SETS = {
    "coco": ("pairs.csv", "image"),
    "caltech101": ("items.csv", "image"),
    "clothing": ("items.csv", "image"),
    "grocery": ("items.csv", "image"),
    "flowers": ("items.csv", "image"),
    "esc50": ("items.csv", "audio"),
    "instruments": ("items.csv", "audio"),
    "hit_uav": ("items.csv", "thermal"),
    "depth": ("pairs.csv", "depth"),
    "wisdm_watch": ("items.csv", "index"),
    "wisdm_phone": ("items.csv", "index"),
    "hapt_phone": ("items.csv", "index"),
}
"""Folder of the data → its table, and the column that names an item."""
BY_SET = (
    "caltech101",
    "clothing",
    "grocery",
    "wisdm_watch",
    "wisdm_phone",
    "hapt_phone",
    "hit_uav",
)
"""Sets of one license and source: a row for all their items."""
ESC10 = re.compile(
    r"\*\*(?P<item>[^*]+)\*\*.*\((?P<source>http[^)]*/sounds/[^)]*)\) by \*(?P<author>[^*]+)\* "
    r"\(\[(?P<license>[^\]]+)\]"
)
"""A line of ESC-10's attribution."""


def write_attribution(path: Path, data: Path, models: Path) -> None:
    """Write the table, compressed; the same data give the same bytes.

    Args:
        path: of the .csv.gz file.
        data: the folder of the data.
        models: table of the rendered rooms' models, of recipes/rooms.
    """
    text = io.StringIO()
    rows = [HEAD, *read_attribution(data), *read_models(models)]
    csv.writer(text, lineterminator="\n").writerows(rows)
    path.write_bytes(gzip.compress(text.getvalue().encode(), 9, mtime=0))


def read_attribution(data: Path) -> Iterator[Row]:
    """Yield the rows of all sets, in a fixed order."""
    for name, (table, column) in SETS.items():
        rows = [
            _attribute(name, column, row)
            for row in _read_rows(data / name / table)
            if Path(row[column]).stem not in held_out_clips()
        ]
        yield from sorted({(row[0], "all", *row[2:]) for row in rows} if name in BY_SET else rows)
    lines = (data / "esc10" / "ATTRIBUTION.md").read_text(encoding="utf-8").splitlines()
    for found in filter(None, map(ESC10.search, lines)):
        if Path(found["item"]).stem not in held_out_clips():
            yield "esc10", found["item"], found["license"], found["author"], found["source"]


def read_models(path: Path) -> Iterator[Row]:
    """Yield the rows of the 3D models of rendered rooms."""
    for row in _read_rows(path):
        yield "sweethome3d-furniture", row["model"], row["license"], row["author"], row["title"]


def _attribute(name: str, column: str, row: dict[str, str]) -> Row:
    source = row.get("flickr_url") or row["source"]
    if row.get("freesound_id"):
        source = f"https://freesound.org/s/{row['freesound_id']}"
    if name == "flowers":
        source = f"https://www.flickr.com/photo.gne?id={Path(row[column]).stem.split('_')[0]}"
    # Notes on where a license is stated stand in parentheses.
    license_name = (row.get("license") or row.get("licence") or "unknown").partition(" (")[0]
    return name, Path(row[column]).stem, license_name, row.get("author", ""), source


def _read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
