"""The rate rises by a constant factor until the loss diverges; nothing else changes."""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from openbind.training.find_lr import HIGHEST, LOWEST, RangeTest, find_lr
from openbind.training.recipe_file import read_recipe


def test_range(world: Any) -> None:
    """The rates are geometric; the suggestion lies within them; the loss falls before it rises."""
    before = sorted(path.name for path in world.folder.rglob("*"))
    test = find_lr(read_recipe(world.recipe), world.folder)
    assert test is not None
    rates = test.rates
    assert rates[0] == LOWEST
    assert rates[-1] <= HIGHEST * 1.001
    assert rates[2] / rates[1] == pytest.approx(rates[1] / rates[0])
    assert LOWEST < test.suggestion() < HIGHEST
    assert min(test.smoothed()) < 0.8 * test.losses[0]
    assert sorted(path.name for path in world.folder.rglob("*")) == before


def test_files(tmp_path: Path) -> None:
    """The table has the smoothed losses; the plot is SVG with a line of each."""
    rates = tuple(10.0**-power for power in range(6, 0, -1))
    test = RangeTest(rates, (4.0, 3.0, 1.0, 1.0, 2.0, 9.0))
    smoothed = test.smoothed()
    assert smoothed[:2] == pytest.approx([4.0, (0.9 * 0.4 + 0.3) / 0.19])
    assert test.suggestion() == pytest.approx(rates[smoothed.index(min(smoothed))] / 10)
    test.write_table(tmp_path / "lr.csv")
    test.write_plot(tmp_path / "lr.svg")
    with (tmp_path / "lr.csv").open() as file:
        assert [float(row["loss"]) for row in csv.DictReader(file)] == list(test.losses)
    root = ET.parse(tmp_path / "lr.svg").getroot()
    lines = [part for part in root if part.tag.endswith("polyline")]
    assert [len(line.attrib["points"].split()) for line in lines] == [6, 6]
