"""A recipe's defaults are the paper's where it says them, and its parts have to fit."""

from __future__ import annotations

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
    """A pair is called by its modalities, the frozen one first."""
    assert make().pairs[0].name == "image-audio"


def test_frozen_stays_frozen() -> None:
    """What one pair freezes no other may train."""
    back = PairPlan(pair=("audio", "image"), data=PAIR.data)
    towers = {"audio": TowerPlan(size="tiny"), "image": TowerPlan(size="tiny")}
    with pytest.raises(ValueError, match="trained too, it can't be frozen"):
        make(pairs=(PAIR, back), towers=towers)
