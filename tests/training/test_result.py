"""The result has the starting space's modalities, and a card that lists emergent pairs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

import openbind
from openbind.errors import ConfigError
from openbind.modalities.imu import ImuSettings
from openbind.modalities.thermal import ThermalSettings
from openbind.space.calibration import Unrelated
from openbind.space.card import Card, Measurement, Source
from openbind.training.recipe_file import read_recipe
from openbind.training.result import check_license, extend_space, write_card
from openbind.training.towers import TowerPlan
from openbind.training.trained_tower import TrainedTower
from openbind.training.validation import Retrieval

SMALL = {
    "stem": {"channels": 6, "kernel": 8, "steps": 64},
    "trunk": {"width": 16, "depth": 1, "heads": 2},
    "head": {},
}


def extend(world: Any) -> openbind.Space:
    space = openbind.load(world.folder / "start")
    trained_tower = TrainedTower(TowerPlan(config=SMALL), "imu", space, seed=0)
    tower = (trained_tower.spec, trained_tower.tower)
    return extend_space(space, "new", {"imu": tower}, {"imu": ImuSettings()}, {"imu": 5.0})


def test_extend(world: Any) -> None:
    """A new modality is added; the starting space isn't modified."""
    space = extend(world)
    assert (space.name, space.modalities) == ("new", ("image", "imu"))
    assert space.config.modalities["imu"].scale == 5.0
    assert openbind.load(world.folder / "start").modalities == ("image",)


def test_shared_tower(world: Any) -> None:
    """A tower shared with another modality isn't replaced."""
    space = extend(world)
    spec, module = space.config.towers["vision"], space.towers["vision"]
    both = extend_space(
        space, "both", {"video": (spec, module)}, {"video": ThermalSettings()}, {"video": 1.0}
    )
    assert both.config.modalities["image"].tower == "vision"
    assert both.config.modalities["video"].tower == "vision_video"
    again = extend_space(both, "a", {"video": (spec, module)}, {"video": None}, {"video": 1.0})
    assert set(again.towers) == set(both.towers)


def test_card(world: Any) -> None:
    """Measurements and pairs are kept except for retrained modalities; new ones are added."""
    space = extend(world)
    old = [
        Measurement(task=name, metric="R@1", value=0.5, chance=0.1, data="", modalities=whose)
        for name, whose in (("a", ("image", "imu")), ("b", ("image", "text")), ("c", ()))
    ]
    space.card = Card(
        license="MIT",
        trained_pairs=(("image", "text"), ("image", "imu")),
        measurements=tuple(old),
        limits=("small",),
        unrelated=tuple(
            Unrelated(modalities=pair, mean=0.0, deviation=0.1, high=0.3, count=9)
            for pair in (("image", "text"), ("text", "imu"))
        ),
    )
    recipe = read_recipe(world.recipe)
    source = {"name": "Waves", "use": "pairs", "license": "CC0", "origin": "made up"}
    card_plan = replace(recipe.card, data=(source,), limits=("small", "slow"))
    result = Retrieval(("image", "imu"), 8, 8, {"imu→image R@1": 0.9}, {"imu→image R@1": 0.1})
    card = write_card(space, replace(recipe, card=card_plan), space, [result], 32)
    assert card.trained_pairs == (("image", "text"), ("image", "imu"))
    assert [m.task for m in card.measurements] == ["b", "imu→image"]
    assert card.measurements[1].interval is not None
    assert card.measurements[1].count
    assert [own.modalities for own in card.unrelated] == [("image", "text")]
    assert card.sources == (Source(**source),)
    assert card.limits == ("small", "slow")
    assert card.license == "MIT"
    assert "32 pairs" in card.summary


def test_card_of_a_replaced_tower(world: Any) -> None:
    """What served only a tower that was replaced, and limits of its modality, are gone."""
    space = extend(world)
    uses = (
        "imu tower; pretrained",
        "image-imu and text-imu pairs",
        "image-text pairs; image-imu pairs",
    )
    kept = ("vision tower", "text tower; pretrained on image-text pairs", "anything else")
    sources = tuple(Source(name=use, use=use, license="", origin="") for use in (*uses, *kept))
    limits = ("IMU covers walking.", "Images are small.")
    space.card = Card(sources=sources, limits=limits)
    card = write_card(space, read_recipe(world.recipe), space, [], 32)
    own = "data of the recipe's image-imu"
    assert [source.name for source in card.sources] == [uses[2], *kept, own]
    assert card.limits == ("Images are small.",)


def test_emergent(world: Any) -> None:
    """Pairs never trained together are listed."""
    space = extend(world)
    towers = {"thermal": (space.config.towers["vision"], torch.nn.Identity())}
    space = extend_space(space, "n", towers, {"thermal": ThermalSettings()}, {"thermal": 1.0})
    card = write_card(space, read_recipe(world.recipe), space, [], 1)
    assert "image–thermal, imu–thermal" in card.summary
    assert "image–imu" not in card.summary


@pytest.mark.parametrize(
    ("start", "stated", "refused"),
    [
        ("cc-by-nc-4.0", "Apache-2.0", True),
        ("cc-by-nc-4.0", "", False),
        ("cc-by-nc-4.0", "CC-BY-NC-4.0", False),
        ("apache-2.0", "MIT", False),
        ("", "Apache-2.0", False),
    ],
)
def test_license(world: Any, start: str, stated: str, refused: bool) -> None:
    """A permissive one needs a permissive start; one that isn't stated is told on the card."""
    space = openbind.load(world.folder / "start")
    space.card = Card(license=start)
    recipe = read_recipe(world.recipe)
    recipe = replace(recipe, card=replace(recipe.card, license=stated))
    if refused:
        with pytest.raises(ConfigError, match=r"card\.license: Apache-2\.0.*cc-by-nc-4\.0"):
            check_license(recipe, space)
        return
    check_license(recipe, space)
    card = write_card(space, recipe, space, [], 1)
    assert card.license == (stated or start)
    assert any("isn't stated" in limit for limit in card.limits) == (not start)
