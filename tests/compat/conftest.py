"""Small spaces of ImageBind's form, and the modules that `install` makes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import openbind
from openbind.checkpoints import load_imagebind
from openbind.checkpoints.imagebind_keys import HEADS
from openbind.checkpoints.native import build_tower
from openbind.compat.imagebind import install
from openbind.model.initial import initialize
from openbind.presets import PRESETS
from openbind.space.config import TowerSpec

GOLDEN = Path(__file__).parents[1] / "golden" / "imagebind_mini.safetensors"
Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="session")
def golden() -> Tensors:
    """Inputs, outputs and the state dict of a small model of the reference."""
    with safe_open(GOLDEN, "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


@pytest.fixture(scope="session")
def golden_state(golden: Tensors) -> Tensors:
    """That state dict."""
    return {k.removeprefix("state/"): v for k, v in golden.items() if k.startswith("state/")}


@pytest.fixture
def mini(golden_state: Tensors) -> openbind.Space:
    """That model, with weights of its own."""
    own = {name: value.clone() for name, value in golden_state.items()}
    with safe_open(GOLDEN, "pt") as file:
        config = json.loads(file.metadata()["config"])
    return load_imagebind(own, {tower: config[f"{tower}_num_heads"] for tower in HEADS})


@pytest.fixture(scope="session")
def small() -> openbind.Space:
    """A random space of the released model's form and dimensions, with narrow towers."""
    config = PRESETS["imagebind_huge"]()
    specs, towers = {}, {}
    for name, spec in config.towers.items():
        trunk = replace(spec.config.trunk, width=32, depth=1, heads=2)
        specs[name] = TowerSpec(kind=spec.kind, config=replace(spec.config, trunk=trunk))
        tower = initialize(build_tower(specs[name]), torch.Generator().manual_seed(len(name)))
        towers[name] = tower.eval().requires_grad_(False)
    return openbind.Space(replace(config, name="small", towers=specs), towers)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """`install`, whose modules are gone after the test."""
    before = {name for name in sys.modules if name.split(".")[0] == "imagebind"}
    assert not before
    yield install
    for name in [name for name in sys.modules if name.split(".")[0] == "imagebind"]:
        del sys.modules[name]
