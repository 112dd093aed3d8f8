"""Modalities that aren't trained together are measured by rows of both, or by names of labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import openbind
from openbind.data.pairs import Row
from openbind.errors import ConfigError
from openbind.training.emergence import _named
from openbind.training.recipe import EmergencePlan
from openbind.training.recipe_file import read_recipe
from openbind.training.run import train
from openbind.training.state import RunFolder

DATA = "{manifest: pairs.csv, columns: {thermal: image}}"


def test_run(world: Any, two: Path, tmp_path: Path) -> None:
    """Each validation has the retrieval of a modality that no pair trains with the trained one.

    The best checkpoint is chosen by it, and the card says that the two weren't trained together.
    """
    tag = "emergence/thermal-imu/imu-to-thermal-R5"
    changes = {
        "start": str(two),
        "pairs.0.data": DATA,
        "logging.emergence": "[{pair: [thermal, imu]}]",
        "logging.best_by": tag,
        "logging.keep": "best",
    }
    recipe = read_recipe(world.recipe, changes)
    folder = RunFolder(tmp_path / "run")
    train(recipe, world.folder, folder.path)
    lines = [json.loads(line) for line in folder.log.read_text().splitlines()]
    found = {line["step"]: line["emergence"] for line in lines if "emergence" in line}
    assert list(found) == [6, 12]
    recall = {step: value["thermal-imu"]["imu→thermal R@5"] for step, value in found.items()}
    best = 6 if recall[6] >= recall[12] else 12
    card = openbind.load(folder.path).card
    (measured,) = [m for m in card.measurements if (m.task, m.metric) == ("imu→thermal", "R@5")]
    assert measured.value == pytest.approx(recall[best])
    assert "never trained together" in measured.data
    with pytest.raises(ConfigError, match=f"did you mean '{tag}'"):
        wrong = read_recipe(world.recipe, changes | {"logging.best_by": tag[:-3]})
        train(wrong, world.folder, tmp_path / "wrong")


@pytest.mark.slow
def test_both_trained(world: Any, tmp_path: Path) -> None:
    """Two trained modalities that never meet are both embedded at each validation."""
    pair = "{{pair: [image, {}], data: {}, split: train, validation: val}}"
    pairs = ", ".join(pair.format(name, DATA) for name in ("imu", "thermal"))
    tower = (
        "{config: {stem: {channels: 1, kernel: [8, 8], stride: [8, 8], size: [16, 16]}, trunk: "
        "{width: 32, depth: 1, heads: 2}}, settings: {size: 16}}"
    )
    changes = {
        "pairs": f"[{pairs}]",
        "towers.thermal": tower,
        "schedule.steps": "2",
        "schedule.warmup_steps": "0",
        "logging.emergence": "[{pair: [thermal, imu]}]",
    }
    folder = RunFolder(tmp_path / "run")
    train(read_recipe(world.recipe, changes), world.folder, folder.path)
    card = openbind.load(folder.path).card
    assert {m.task for m in card.measurements if "never" in m.data} == {
        "imu→thermal",
        "thermal→imu",
    }


def test_names() -> None:
    """A row's item of the first modality is its label in a template; rows without are dropped."""
    plan = EmergencePlan(pair=("text", "audio"), names="the sound of a {}")
    rows = [
        Row(key=str(i), items={"image": (Path("a.png"),), "audio": (Path(f"{i}.wav"),)}, label=name)
        for i, name in enumerate(("dog", None, "cat"))
    ]
    named = _named(plan, rows)
    assert [row.items["text"] for row in named] == [
        ("the sound of a dog",),
        ("the sound of a cat",),
    ]
    assert [row.items["audio"] for row in named] == [(Path("0.wav"),), (Path("2.wav"),)]
    with pytest.raises(ConfigError, match="no row has a label"):
        _named(plan, rows[1:2])


def test_refused(world: Any) -> None:
    """A trained pair isn't emergence, nor are two frozen modalities; a template has its place."""
    for plan, rule in (
        ("{pair: [image, imu]}", "isn't trained with"),
        ("{pair: [text, image]}", "isn't trained with"),
        ("{pair: [text, imu], names: label}", "with {} for the label"),
        ("{pair: [text, imu], split: val}", "split: is of data"),
    ):
        with pytest.raises(ConfigError, match=rule):
            read_recipe(world.recipe, {"logging.emergence": f"[{plan}]"})
