"""A tiny data set: colored images, and IMU data that oscillate faster the redder the image is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import openbind
from openbind.checkpoints.native import build_tower
from openbind.modalities.image import ImageSettings
from openbind.modalities.thermal import ThermalSettings
from openbind.model.config import HeadConfig, PatchStem, TowerConfig, TrunkConfig
from openbind.model.initial import initialize
from openbind.presets import bind
from openbind.space.space import Space

ROWS, STEPS = 40, 64

RECIPE = """
name: tiny-run
start: {start}
batch_size: 8
pairs:
  - pair: [image, imu]
    data: {{manifest: pairs.csv}}
    split: train
    validation: val
    temperature: 0.1
towers:
  imu:
    config:
      stem: {{channels: 6, kernel: 8, steps: {steps}}}
      trunk: {{width: 32, depth: 2, heads: 2, bias_kv: true, drop_path: 0.2}}
      head: {{dropout: 0.1}}
    settings: {{steps: {steps}, rate_hz: 32}}
schedule: {{lr: 3e-3, steps: 12, warmup_steps: 2, max_grad_norm: 1.0}}
logging: {{log_every: 1, validate_every: 6, save_every: 3}}
"""


@dataclass(frozen=True)
class World:
    """Paths of the data set.

    Args:
        folder: of the data and the recipe.
        recipe: path of the YAML file.
    """

    folder: Path
    recipe: Path


def make_space(channels: dict[str, int] | None = None) -> Space:
    """Return a space of 16 dimensions with random weights: of images only, or of more.

    Args:
        channels: of the input of each tower; None is images only.
    """
    channels = channels or {"vision": 3}
    towers = {
        name: TowerConfig(
            stem=PatchStem(
                channels=count, kernel=(8, 8), stride=(8, 8), size=(16, 16), norm=count == 3
            ),
            trunk=TrunkConfig(width=32, depth=1, heads=2),
            head=HeadConfig(embed_dim=16),
        )
        for name, count in channels.items()
    }
    settings: dict[str, Any] = {"image": ImageSettings(size=16)}
    if "thermal" in channels:
        settings["thermal"] = ThermalSettings(size=16)
    config = bind("tiny-start", towers, settings=settings)
    modules = {}
    for name in towers:
        module = build_tower(config.towers[name])
        assert isinstance(module, openbind.model.tower.Tower)
        modules[name] = initialize(module, torch.Generator().manual_seed(0))
    return Space(config, modules)


def write_pair(folder: Path, index: int) -> str:
    """Write an image and its IMU data; returns the manifest's line."""
    rng = np.random.default_rng(index)
    red = index / ROWS
    color = np.array([red, 1 - red, rng.uniform()]) * 255
    pixels = np.clip(color + rng.normal(0, 8, (20, 24, 3)), 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(folder / f"{index}.png")
    seconds = np.arange(STEPS) / 32
    wave = np.sin(2 * np.pi * (1 + 8 * red) * seconds)
    motion = np.stack([wave * (axis + 1) for axis in range(6)], axis=1)
    motion += rng.normal(0, 0.1, motion.shape)
    table = np.column_stack([seconds, motion])
    split = "val" if index % 5 == 0 else "train"
    names = "seconds,ax,ay,az,gx,gy,gz"
    np.savetxt(folder / f"{index}.csv", table, delimiter=",", header=names, comments="")
    return f"{index}.png,{index}.csv,{'red' if red > 0.5 else 'green'},{split}"


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The data, a starting space and a recipe; tests don't modify them."""
    folder = tmp_path_factory.mktemp("world")
    lines = [write_pair(folder, index) for index in range(ROWS)]
    (folder / "pairs.csv").write_text("\n".join(["image,imu,label,split", *lines]) + "\n")
    openbind.save(make_space(), folder / "start")
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE.format(start=folder / "start", steps=STEPS))
    return World(folder, recipe)


@pytest.fixture(scope="session")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A frozen space of images and thermal images."""
    folder = tmp_path_factory.mktemp("two") / "space"
    openbind.save(make_space({"vision": 3, "thermal": 1}), folder)
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Embeddings of frozen items are cached in the test's own folder."""
    monkeypatch.setenv("OPENBIND_CACHE", str(tmp_path_factory.mktemp("cache")))
