"""A check finds what would stop a run, shows a decoded batch, and leaves nothing behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from openbind.cli.main import main
from openbind.errors import ConfigError, InputError, UnknownNameError
from openbind.training.check import CheckReport, check_recipe
from openbind.training.recipe_file import read_recipe


def check(world: Any, **changes: str) -> CheckReport:
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    return check_recipe(read_recipe(world.recipe, dotted), world.folder)


def test_report(world: Any) -> None:
    """Counts, shapes, ranges and an estimate of the cost."""
    report = check(world, pairs__0__views="{count: 3, crop: [0.5, 1.0]}")
    (pair,) = report.pairs
    assert (pair.rows, pair.held_rows, pair.anchors, pair.views) == (32, 8, 32, 3)
    assert pair.shape == (8, 6, 64)
    assert pair.low < 0 < pair.high
    assert pair.parameters == pair.trained > 10_000
    assert report.steps == 12
    assert 0 < report.once_seconds < 60
    assert 0 < report.step_seconds < 60
    text = str(report)
    assert "32 rows train, 8 validate; 32 frozen items × 3 views" in text
    assert "12 steps" in text


def test_nothing_written(world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a run's folder nor a cache appears."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENBIND_CACHE", str(tmp_path / "cache"))
    check(world)
    assert list(tmp_path.iterdir()) == []


def test_no_start(world: Any) -> None:
    """A starting space without the frozen modality is refused."""
    with pytest.raises(UnknownNameError, match=r"no modality of tiny-start named 'video'"):
        check(world, pairs__0__pair="[video, imu]", pairs__0__data="{manifest: pairs.csv}")


def test_problems(world: Any) -> None:
    """Too few rows, no such column, no such file: said at once."""
    with pytest.raises(ConfigError, match="too few for a batch of 64"):
        check(world, batch_size="64")
    with pytest.raises(ConfigError, match=r"no column 'imo'"):
        check(world, pairs__0__data="{manifest: pairs.csv, columns: {imu: imo}}")
    with pytest.raises(InputError, match=r"nothing\.csv"):
        check(world, pairs__0__data="{manifest: nothing.csv}")


def test_broken(world: Any) -> None:
    """Items of the sample that can't be used are told; if all are, that is an error."""
    lines = ["image,imu,split"] + [f"{i}.png,{i}.png,train" for i in range(8)]
    (world.folder / "wrong.csv").write_text("\n".join([*lines, "1.png,1.csv,val"]) + "\n")
    with pytest.raises(ConfigError, match="none of 8 rows can be used"):
        check(world, pairs__0__data="{manifest: wrong.csv}")


def test_command_line(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """`--dry-run` prints the report; as JSON for machines."""
    arguments = ["train", str(world.recipe), "--dry-run", "--set", "schedule.steps=500"]
    assert main(arguments) == 0
    assert "500 steps" in capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 500
