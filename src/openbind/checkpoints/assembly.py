"""Tensors of a file and a config become a space, without initial weights in between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from pathlib import Path

import torch
from torch import Tensor

from openbind.checkpoints.native import build_tower
from openbind.checkpoints.tensors import place
from openbind.space.card import Card
from openbind.space.config import SpaceConfig
from openbind.space.space import Space


def assemble(
    config: SpaceConfig,
    states: Mapping[str, Mapping[str, Tensor]],
    card: Card,
    folder: Path | None,
    *,
    device: str | torch.device,
    dtype: torch.dtype | None,
    mapped: bool,
) -> Space:
    """Return towers their tensors.

    Args:
        config: of the space; its `dtype` is set to what the space computes in.
        states: tower → its state dict, of the shapes that its config implies.
        card: of the space.
        folder: where the files are that travel with the space (a vocabulary), if there are any.
        device: where the towers are put.
        dtype: precision to compute in; None takes the tensors' own (of several the widest).
        mapped: the tensors are mapped from a file and nobody else's: they may be given back.
    """
    precision = dtype or widest([t for name in config.towers for t in states[name].values()])
    towers = {}
    for name, spec in config.towers.items():
        with torch.device("meta"):
            tower = build_tower(spec)
        state = {
            key: place(value, device, precision, mapped=mapped)
            for key, value in states[name].items()
        }
        tower.load_state_dict(state, assign=True)
        towers[name] = tower.eval().requires_grad_(False)
    named = str(precision).removeprefix("torch.")
    return Space(replace(config, dtype=named), towers, card, folder)


def widest(tensors: list[Tensor]) -> torch.dtype:
    """Find the type that holds the numbers of all tensors of floating point."""
    found = {tensor.dtype for tensor in tensors if tensor.is_floating_point()}
    return reduce(torch.promote_types, sorted(found, key=str), next(iter(found), torch.float32))
