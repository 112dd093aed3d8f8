"""A dry run finds what would stop a run, reports a batch, and writes nothing."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

import openbind
from openbind.cli.main import main
from openbind.errors import ConfigError, InputError, UnknownNameError
from openbind.training import check as module
from openbind.training.check import CheckReport, check_recipe
from openbind.training.pair_state import PairState
from openbind.training.recipe_file import read_recipe
from openbind.training.result import extend_space
from openbind.training.trained_tower import TrainedTower
from openbind.training.trainer import Trainer


def check(world: Any, **changes: str) -> CheckReport:
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    return check_recipe(read_recipe(world.recipe, dotted), world.folder)


def test_report(world: Any) -> None:
    """The report has counts, shapes, ranges and estimated times."""
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
    assert "32 training rows, 8 validation rows; 32 frozen items × 3 views" in text
    assert "12 steps" in text
    parts = (report.once_seconds, report.step_seconds, report.validation_seconds)
    assert report.total_seconds > sum(parts) > 0


def test_nothing_written(world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No run's folder and no vectors; the listing of the rows is kept for the run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENBIND_CACHE", str(tmp_path / "cache"))
    check(world)
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["rows"]


def test_validation_counts(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The estimate has all validations of a run, each over all held-out rows."""
    measure = PairState.measure

    def slowly(self: PairState, *args: Any) -> Any:
        time.sleep(0.2)
        return measure(self, *args)

    monkeypatch.setattr(PairState, "measure", slowly)
    monkeypatch.setattr(module, "SAMPLED_ROWS", 4)
    report = check(world)
    assert report.validations == 3  # after steps 6 and 12, and for the card
    assert report.validation_seconds >= 3 * 0.2 * 8 / 4
    assert "3 validations" in str(report)


def test_steps_are_timed_at_the_recipes_size(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of 32 rows isn't four steps of 8."""
    sizes: list[int] = []
    take_step = Trainer.take_step

    def note(self: Trainer, step: int, batches: Any) -> Any:
        sizes.append(len(batches[0].inputs))
        return take_step(self, step, batches)

    monkeypatch.setattr(Trainer, "take_step", note)
    check(world, batch_size="32")
    assert sizes == [8, 8, 32, 32]


def test_no_start(world: Any) -> None:
    """A starting space without the frozen modality is refused."""
    with pytest.raises(UnknownNameError, match=r"no modality of tiny-start named 'video'"):
        check(world, pairs__0__pair="[video, imu]", pairs__0__data="{manifest: pairs.csv}")


def test_problems(world: Any) -> None:
    """Too few rows, a wrong column and a missing file are refused."""
    with pytest.raises(ConfigError, match="too few for a batch of 64"):
        check(world, batch_size="64")
    with pytest.raises(ConfigError, match=r"no column 'imo'"):
        check(world, pairs__0__data="{manifest: pairs.csv, columns: {imu: imo}}")
    with pytest.raises(InputError, match=r"nothing\.csv"):
        check(world, pairs__0__data="{manifest: nothing.csv}")


def test_broken(world: Any) -> None:
    """Having no usable item in the sample is an error."""
    lines = ["image,imu,split"] + [f"{i}.png,{i}.png,train" for i in range(8)]
    (world.folder / "wrong.csv").write_text("\n".join([*lines, "1.png,1.csv,val"]) + "\n")
    with pytest.raises(InputError, match=r"image-imu: .*\.png"):
        check(world, pairs__0__data="{manifest: wrong.csv}")


def test_skipped(world: Any) -> None:
    """Unusable items of the sample are listed, on both sides."""
    lines = ["image,imu,split"] + [f"{i}.png,{i}.csv,train" for i in range(1, 7)]
    lines += ["pairs.csv,7.csv,train", "8.png,7.png,train", "10.png,10.csv,val"]
    (world.folder / "some.csv").write_text("\n".join(lines) + "\n")
    text = str(check(world, pairs__0__data="{manifest: some.csv}"))
    assert "pairs.csv" in text
    assert "7.png" in text


@pytest.mark.parametrize(
    "changes",
    [
        {"hardware__micro_batch": "2"},
        {"pairs__0__loss": "sigmoid", "pairs__0__negatives": "corpus"},
        {"hardware__num_workers": "2"},
    ],
)
def test_options(world: Any, changes: dict[str, str]) -> None:
    """Gradient caching, losses and negatives are tried as in a run."""
    assert check(world, **changes).pairs[0].loss > 0


def test_head(world: Any, tmp_path: Path) -> None:
    """Training of a head computes features of the sample, and estimates their cost."""
    recipe = read_recipe(world.recipe)
    space = openbind.load(recipe.start)
    tower = TrainedTower(recipe.towers["imu"], "imu", space, 0)
    towers = {"imu": (tower.spec, tower.tower)}
    both = extend_space(space, "both", towers, {"imu": tower.settings}, {"imu": 10.0})
    openbind.save(both, tmp_path / "both")
    head = "{imu: {start: space, train: head}}"
    report = check(world, start=str(tmp_path / "both"), towers=head).pairs[0]
    assert report.reads_once
    assert report.shape == (8, 32)
    assert report.trained < report.parameters


def test_unusable_validation(world: Any) -> None:
    """Validation rows that can't be read stop a dry run as they would stop the run."""
    lines = ["image,imu,split"] + [f"{i}.png,{i}.csv,train" for i in range(8)]
    (world.folder / "bad-val.csv").write_text("\n".join([*lines, "9.png,9.png,val"]) + "\n")
    with pytest.raises(ConfigError, match="no validation row can be used"):
        check(world, pairs__0__data="{manifest: bad-val.csv}")


def test_command_line(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """`--dry-run` prints the report; as JSON for machines."""
    arguments = ["train", str(world.recipe), "--dry-run", "--set", "schedule.steps=500"]
    assert main(arguments) == 0
    assert "500 steps" in capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 500


def test_every_pair_a_step(world: Any) -> None:
    """With a batch of every pair in a step, an epoch is the longest pair's, and times add up."""
    pair = "{pair: [image, imu], data: {manifest: pairs.csv}, OWN}"
    pairs = ", ".join(pair.replace("OWN", own) for own in ("repeat: 1", "batch_size: 4"))
    changes = {"pairs": f"[{pairs}]", "schedule": "{lr: 1e-3, epochs: 2}"}
    for each, steps in (("one", 30), ("all", 20)):
        recipe = read_recipe(world.recipe, {**changes, "each_step": each})
        report = check_recipe(recipe, world.folder)
        assert report.steps == steps
        seconds = [r.seconds_per_row(0) * n for r, n in zip(report.pairs, (8, 4), strict=True)]
        if each == "all":
            assert report.step_seconds == pytest.approx(20 * sum(seconds))
        else:
            assert report.step_seconds == pytest.approx(2 * (5 * seconds[0] + 10 * seconds[1]))
