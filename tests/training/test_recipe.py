"""Defaults are the paper's where it gives them; parts that don't fit are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from openbind.data.sources.manifest import Manifest
from openbind.training.optimization import Schedule
from openbind.training.recipe import PairPlan, Recipe
from openbind.training.towers import TowerPlan

PAIR = PairPlan(pair=("image", "audio"), data=Manifest(manifest="pairs.csv"))
SCHEDULE = Schedule(lr=1e-3, steps=1)


def make(**changes: object) -> Recipe:
    values = {
        "name": "run",
        "start": "starter",
        "pairs": (PAIR,),
        "towers": {"audio": TowerPlan(size="tiny")},
        "schedule": SCHEDULE,
        "batch_size": 8,
    }
    return Recipe(**{**values, **changes})  # type: ignore[arg-type]


def test_name() -> None:
    """A pair's name is its modalities, the frozen one first."""
    assert make().pairs[0].name == "image-audio"


def test_folds() -> None:
    """Folds are counted from 0, and exclude another validation."""
    assert replace(PAIR, folds=3, fold=2).fold == 2
    for changes in ({"folds": 1}, {"folds": 3, "fold": 3}, {"folds": 3, "validation": 0.5}):
        with pytest.raises(ValueError, match="folds"):
            replace(PAIR, **changes)  # type: ignore[arg-type]


def test_frozen_stays_frozen() -> None:
    """A modality can't be frozen in one pair and trained in another."""
    back = PairPlan(pair=("audio", "image"), data=PAIR.data)
    towers = {"audio": TowerPlan(size="tiny"), "image": TowerPlan(size="tiny")}
    with pytest.raises(ValueError, match="trained too, it can't be frozen"):
        make(pairs=(PAIR, back), towers=towers)
