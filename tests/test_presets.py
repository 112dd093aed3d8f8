"""Named architectures have the paper's sizes; configs survive JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from openbind.checkpoints.imagebind_keys import HEADS, read_towers, write_state
from openbind.errors import ConfigError
from openbind.modalities import MODALITIES
from openbind.model.config import TowerConfig
from openbind.model.tower import Tower
from openbind.presets import PRESETS, bind, imagebind_huge, text_settings
from openbind.space.config import SpaceConfig, read_space_config, write_space_config


def towers_of(config: SpaceConfig) -> dict[str, TowerConfig]:
    return {name: spec.config for name, spec in config.towers.items()}


def meta_tower(config: TowerConfig) -> Tower:
    with torch.device("meta"):
        return Tower(config)


def test_huge_is_the_released_one() -> None:
    """1,200,781,057 parameters without the text scale, and the configs inferred from shapes."""
    config = imagebind_huge()
    towers = {name: meta_tower(tower) for name, tower in towers_of(config).items()}
    assert sum(p.numel() for t in towers.values() for p in t.parameters()) == 1_200_781_056
    state = write_state({n: t.state_dict() for n, t in towers.items()}, {"text": 100.0})
    read = read_towers(state, HEADS)
    assert {name: tower for name, (tower, _) in read.items()} == towers_of(config)
    assert config.dim == 1024
    scales = {name: binding.scale for name, binding in config.modalities.items()}
    assert scales == {"image": 1, "video": 1, "text": 100, "audio": 20, "depth": 5, "thermal": 10,
                      "imu": 5}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "millions", "dim"),
    [("base", 350, 512), ("tiny", 55, 256), ("imagebind_huge", 1201, 1024)],
)
def test_sizes(name: str, millions: int, dim: int) -> None:
    """Each has its number of parameters within 10 %, its dimension, and all modalities."""
    config = PRESETS[name]()
    count = sum(
        p.numel() for tower in towers_of(config).values() for p in meta_tower(tower).parameters()
    )
    assert count / 1e6 == pytest.approx(millions, rel=0.1)
    assert (config.name, config.dim) == (name, dim)
    assert set(config.modalities) == set(MODALITIES.table)


@pytest.mark.parametrize("name", PRESETS)
def test_through_json(name: str) -> None:
    """A round trip restores the config."""
    config = PRESETS[name]()
    assert read_space_config(json.loads(json.dumps(write_space_config(config)))) == config


def test_bind() -> None:
    """Modalities are bound to their towers, with given scales and settings."""
    towers = towers_of(imagebind_huge())
    some = bind("x", {"audio": towers["audio"]}, {"audio": 3.0})
    assert list(some.modalities) == ["audio"]
    assert some.modalities["audio"].scale == 3.0
    settings: dict[str, Any] = {"image": MODALITIES.get("image").settings(size=98)}
    images = bind("x", towers, None, settings)
    assert list(images.modalities) == ["image"]
    assert list(images.towers) == ["vision"]
    assert images.modalities["image"].settings.size == 98


def test_mismatches() -> None:
    """Towers of different dimensions, and a text tower that takes no token ids."""
    towers = {
        "imu": towers_of(imagebind_huge())["imu"],
        "depth": towers_of(PRESETS["tiny"]())["depth"],
    }
    with pytest.raises(ConfigError, match=r"one dimension, found {'imu': 1024, 'depth': 256}"):
        bind("x", towers)
    with pytest.raises(ConfigError, match="found WindowStem"):
        text_settings(towers["imu"])
