"""Every file that ships beside the samples has a row with source, license and checksum."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

ASSETS = Path(__file__).parents[2] / "src" / "openbind" / "assets"


def test_table_is_complete() -> None:
    """Weights and vocabularies, both ways, unchanged."""
    with (ASSETS / "assets.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(row["source"] and row["license"] for row in rows)
    listed = {row["path"]: row["sha256"] for row in rows}
    found = {
        str(path.relative_to(ASSETS)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in ASSETS.rglob("*")
        if path.suffix in (".safetensors", ".gz", ".bin")
        or path.name in ("tokenizer.json", "imagenet.json")
    }
    assert listed == found
