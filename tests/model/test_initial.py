"""Initial weights: all are drawn, reproducibly, from the authors' distributions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from openbind.model.config import (
    HeadConfig,
    PatchStem,
    TokenStem,
    TowerConfig,
    TrunkConfig,
    WindowStem,
)
from openbind.model.initial import initialize
from openbind.model.tower import Tower

WIDTH = 64
TRUNK = TrunkConfig(width=WIDTH, depth=2, heads=4, bias_kv=True)
CONFIGS = [
    TowerConfig(
        stem=PatchStem(channels=3, kernel=(8, 8), stride=(8, 8), size=(64, 64), bias=True),
        trunk=TRUNK,
        head=HeadConfig(embed_dim=32, pool="attention", bias=True),
    ),
    TowerConfig(
        stem=TokenStem(vocabulary=100, context=50),
        trunk=TRUNK,
        head=HeadConfig(embed_dim=32, pool="eot"),
    ),
    TowerConfig(
        stem=WindowStem(channels=6, kernel=8, steps=400),
        trunk=TRUNK,
        head=HeadConfig(embed_dim=32),
    ),
]


def draw(config: TowerConfig, seed: int) -> Tower:
    with torch.device("meta"):
        tower = Tower(config)
    tower.to_empty(device="cpu")
    for parameter in tower.parameters():
        nn.init.constant_(parameter, torch.nan)
    return initialize(tower, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: type(config.stem).__name__)
def test_all_and_repeatable(config: TowerConfig) -> None:
    """All weights are drawn; equal seeds have equal weights, other seeds others."""
    first, again, other = draw(config, 0).state_dict(), draw(config, 0), draw(config, 1)
    for key, value in first.items():
        assert value.isfinite().all(), key
        assert torch.equal(value, again.state_dict()[key]), key
    key = "trunk.blocks.0.mlp.fc1.weight"
    assert not torch.equal(first[key], other.state_dict()[key])


@pytest.mark.parametrize(
    ("index", "key", "std"),
    [
        (0, "stem.positions", WIDTH**-0.5),
        (0, "stem.weight", (3 * 8 * 8 * 3) ** -0.5),
        (1, "stem.positions", 0.01),
        (1, "stem.embedding.weight", 0.02),
        (2, "stem.positions", 0.01),
        (2, "head.proj.weight", (3 * WIDTH) ** -0.5),
        (2, "trunk.blocks.1.attention.in_proj.weight", (2 / (WIDTH + 3 * WIDTH)) ** 0.5),
        (2, "trunk.blocks.1.attention.out_proj.weight", WIDTH**-0.5),
        (2, "trunk.blocks.1.mlp.fc2.weight", (2 / (5 * WIDTH)) ** 0.5),
    ],
)
def test_spread(index: int, key: str, std: float) -> None:
    """Standard deviations are those of the distributions."""
    assert draw(CONFIGS[index], 0).state_dict()[key].std().item() == pytest.approx(std, rel=0.1)


def test_zeros_and_ones() -> None:
    """Biases of the trunk are 0; LayerNorms are 1 and 0."""
    state = draw(CONFIGS[2], 0).state_dict()
    assert not state["trunk.blocks.0.attention.in_proj.bias"].any()
    assert not state["trunk.blocks.0.mlp.fc1.bias"].any()
    assert (state["trunk.blocks.0.norm_1.weight"] == 1).all()
    assert not state["head.norm.bias"].any()
