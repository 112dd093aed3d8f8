"""`openbind sweep` trains each combination once, and prints one table."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from openbind.cli.main import main
from tests.tiny_world import own_cache, world

__all__ = ["own_cache", "world"]  # fixtures


def test_sweep(world: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two rates and two seeds are four runs in two groups; a failed run is listed, code 1."""
    output = tmp_path / "sweep"
    short = ["--set", "schedule.steps=2", "--set", "schedule.warmup_steps=0"]
    command = ["sweep", str(world.recipe), "--output", str(output), *short]
    command += ["--set", "schedule.max_grad_norm=null", "--over", "seed=0,1"]
    assert main([*command, "--over", "schedule.lr=1e-3,1e30", "--json"]) == 1
    table = json.loads(capsys.readouterr().out)
    assert [group["runs"] for group in table["groups"]] == [2, 0]
    assert table["groups"][0]["values"] == {"schedule.lr": 0.001}
    assert len(table["runs"]) == 4
    assert sum(run["error"] is not None for run in table["runs"]) == 2
    with (output / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["schedule.lr"] for row in rows] == ["0.001", "1e+30", "0.001", "1e+30"]
    assert rows[0]["validation/image-imu/imu-to-image-R1"]
    again = [*command, "--over", "schedule.lr=1e-3"]
    assert main(again) == 0
    assert "| 0.001 | 0." in capsys.readouterr().out
