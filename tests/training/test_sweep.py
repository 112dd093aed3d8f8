"""A sweep goes on where it was; its table has means and spreads over seeds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from openbind.errors import ConfigError
from openbind.training import sweep as module
from openbind.training.sweep import SweepRun, SweepTable, parse_axes, run_sweep


def test_axes() -> None:
    """Values are YAML; commas in brackets don't split."""
    axes = parse_axes(["schedule.lr=1e-3,3e-4", "seed=0,1", "pairs.0.views={count: 1},{count: 2}"])
    assert axes == {
        "schedule.lr": [1e-3, 3e-4],
        "seed": [0, 1],
        "pairs.0.views": [{"count": 1}, {"count": 2}],
    }
    for wrong in ("schedule.lr", "=1", "a="):
        with pytest.raises(ConfigError, match="expected KEY=VALUE"):
            parse_axes([wrong])


def test_table(tmp_path: Path) -> None:
    """Groups are all settings but the seed, the best first."""
    scores = [(1, 0, 0.5), (1, 1, 0.7), (2, 0, 0.9), (2, 1, None)]
    runs = tuple(
        SweepRun({"lr": lr, "seed": seed}, f"run-{lr}-{seed}", score, {"a/b": 1.0})
        for lr, seed, score in scores
    )
    table = SweepTable("mean recall", runs)
    first, second = table.groups()
    assert (first["values"], first["mean"], first["runs"]) == ({"lr": 2}, 0.9, 1)
    assert first["standard_deviation"] is None
    assert second["mean"] == pytest.approx(0.6)
    assert second["standard_deviation"] == pytest.approx(0.1414, abs=1e-4)
    table.write(tmp_path)
    assert json.loads((tmp_path / "sweep.json").read_text())["groups"][0]["mean"] == 0.9
    assert "| 1 | 0.6000 | 0.1414 | 2 |" in (tmp_path / "sweep.md").read_text()


def test_resumed(world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is finished isn't trained again; without validation there is nothing to compare."""
    trained: list[Path] = []
    train = module.train

    def count(recipe: Any, data: Path, where: Path, **options: Any) -> Any:
        trained.append(where)
        return train(recipe, data, where, **options)

    monkeypatch.setattr(module, "train", count)
    short = {"schedule.steps": "1", "schedule.warmup_steps": "0", "logging.keep": "best"}
    given = world.folder, tmp_path / "sweep", short
    first = run_sweep(world.recipe, {"seed": [0]}, *given)
    both = run_sweep(world.recipe, {"seed": [0, 1]}, *given)
    assert len(trained) == len(set(trained)) == 2
    assert both.runs[0] == first.runs[0]
    with pytest.raises(ConfigError, match="compares validations"):
        run_sweep(world.recipe, {"pairs.0.validation": [None]}, *given)
