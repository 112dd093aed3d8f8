"""docs/inputs.md lists the extensions, units and presets that the code has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from openbind.limits import limits_table
from openbind.media.motion import SECONDS, UNITS, read_layout
from openbind.media.photos import EXTRAS
from openbind.modalities.audio import MODALITY as AUDIO
from openbind.modalities.depth import Units
from openbind.modalities.image import MODALITY as IMAGE
from openbind.modalities.video import MODALITY as VIDEO
from openbind.signal.disparity import COUNTS_PER_METRE

TEXT = (Path(__file__).parents[2] / "docs" / "inputs.md").read_text()


def section(title: str) -> list[list[str]]:
    """Return the cells of a section's tables, without headings."""
    body = TEXT.split(f"## {title}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in body.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows]


def codes(cell: str) -> list[str]:
    """Return the cell's code spans."""
    return re.findall(r"`([^`]+)`", cell)


def test_limits() -> None:
    """The table of limits is the code's."""
    assert limits_table() in TEXT


def test_extensions_of_images() -> None:
    """Each extension is in the table, with its extra."""
    rows = section("Image files")
    assert {name for row in rows for name in codes(row[0])} == IMAGE.extensions
    extras = {code for row in rows for code in codes(row[2])}
    assert extras == {extra for _, extra in EXTRAS.values()}


def test_extensions_of_audio_and_video() -> None:
    """Each extension is in the table."""
    rows = {row[0]: set(codes(row[1])) for row in section("Audio and video files")}
    assert rows["audio"] == AUDIO.extensions
    assert rows["video"] == VIDEO.extensions


def test_units_of_depth() -> None:
    """Each name is in the table, with its counts per metre."""
    rows = {codes(row[0])[0]: row[1] for row in section("Depth files")[1:]}
    assert set(rows) == set(get_args(Units))
    for name, per_metre in COUNTS_PER_METRE.items():
        assert float(rows[name]) == per_metre


def test_columns_and_units_of_motion() -> None:
    """Each example is recognized as its row says; each unit is in the table."""
    rows = {row[0].split()[0]: row[-1] for row in section("IMU files")}
    assert codes(rows["acceleration"]) == list(UNITS["acceleration"])
    assert codes(rows["rotation"]) == list(UNITS["rotation"])
    for kind, quantity in (("accelerometer", "acceleration"), ("gyroscope", "rotation")):
        for name in codes(rows[kind]):
            base = name.rpartition("x")
            columns = [f"{base[0]}{axis}{base[2]}" for axis in "xyz"]
            if " x " in name:
                columns = [name.replace(" x ", f" {axis} ") for axis in "xyz"]
            assert list(read_layout(columns, name).columns) == [quantity]
    assert set(SECONDS) <= set(codes(section("IMU files")[-1][-1]))
    for name in ("seconds_elapsed", "Time (s)", "canonical_timestamp_ms"):
        assert name in TEXT
        assert read_layout([name, "ax", "ay", "az"], name).time == 0
