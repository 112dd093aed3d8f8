"""Build a space from a config and tensors, without memory for initial weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from pathlib import Path

import torch
from torch import Tensor

from openbind.checkpoints.native import build_tower
from openbind.checkpoints.tensors import move_tensor
from openbind.errors import CheckpointError, ConfigError
from openbind.space.card import Card
from openbind.space.config import SpaceConfig, read_space_config, write_space_config
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
    """Build a space, its towers in eval mode without gradients.

    Args:
        config: of the space; `dtype` is set to the precision of the towers.
        states: tower → its state dict, with the shapes that its config implies.
        card: of the space.
        folder: of the files that preprocessing needs (a vocabulary), if there are any.
        device: of the towers.
        dtype: precision to compute in; None takes the tensors' own (of several the widest).
        mapped: the tensors are mapped from a file and not used elsewhere, so copied ones are freed.

    Raises:
        CheckpointError: a value of the config is out of its range.
    """
    try:
        config = read_space_config(write_space_config(config))
    except ConfigError as error:
        raise CheckpointError(config.name, str(error)) from error
    precision = dtype or widest([t for name in config.towers for t in states[name].values()])
    towers = {}
    for name, spec in config.towers.items():
        with torch.device("meta"):
            tower = build_tower(spec)
        state = {
            key: move_tensor(value, device, precision, mapped=mapped)
            for key, value in states[name].items()
        }
        tower.load_state_dict(state, assign=True)
        towers[name] = tower.eval().requires_grad_(False)
    named = str(precision).removeprefix("torch.")
    return Space(replace(config, dtype=named), towers, card, folder)


def widest(tensors: list[Tensor]) -> torch.dtype:
    """Return the dtype that all floating-point tensors convert to without loss."""
    found = {tensor.dtype for tensor in tensors if tensor.is_floating_point()}
    return reduce(torch.promote_types, sorted(found, key=str), next(iter(found), torch.float32))
