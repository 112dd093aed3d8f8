"""LoRA adapters by themselves, in peft's format, and merged into a space's tower (2106.09685).

A folder has adapter_model.safetensors and adapter_config.json, which peft reads, and openbind.json:
the modality, its settings and scale, and a hash of the weights that the adapters belong to.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from openbind.atomic import atomic_folder
from openbind.checkpoints.native import write_json
from openbind.checkpoints.repository import read_json
from openbind.checkpoints.tensors import SafetensorsFile
from openbind.configs import from_dict, to_dict
from openbind.errors import CheckpointError, UnknownNameError
from openbind.modalities import MODALITIES
from openbind.space.config import Binding, TowerSpec
from openbind.space.identity import image_side
from openbind.space.space import Space

CONFIG, WEIGHTS, OWN = "adapter_config.json", "adapter_model.safetensors", "openbind.json"
PREFIX = "base_model.model."
"""What peft's names of tensors start with."""
UNSUPPORTED = ("use_dora", "use_rslora", "rank_pattern", "alpha_pattern", "layer_replication")
"""Settings of peft's that change what an adapter computes; ours leave them off."""


def save_adapters(
    folder: Path,
    adapters: Mapping[str, Tensor],
    plan: Mapping[str, Any],
    modality: str,
    binding: Binding,
    base: str,
) -> None:
    """Write adapters, completely or not at all.

    Args:
        folder: replaced if it exists.
        adapters: name such as "trunk.blocks.0.mlp.fc1.lora_A.weight" → tensor.
        plan: `r`, `lora_alpha`, `lora_dropout` and `target_modules`, as peft calls them.
        modality: of the tower.
        binding: its settings and scale.
        base: of the tower without them, see `hash_tower`.
    """
    own = {"modality": modality, "base": base, "scale": binding.scale}
    tensors = {PREFIX + name: value.detach().cpu().contiguous() for name, value in adapters.items()}
    with atomic_folder(folder) as new:
        save_file(tensors, new / WEIGHTS, metadata={"format": "pt"})
        write_json(new / CONFIG, {"peft_type": "LORA", "bias": "none", **plan})
        write_json(new / OWN, {**own, "settings": to_dict(binding.settings)})


def hash_tower(spec: TowerSpec, tower: nn.Module) -> str:
    """Hash a tower's architecture and weights, up to rounding to bfloat16."""
    return image_side({}, spec, tower.state_dict())


def merge_adapters(space: Space, folders: Mapping[str, str | os.PathLike[str]]) -> Space:
    """Return a space with adapters merged into its towers, in the precision that these have.

    Args:
        space: the one that they were trained from; not modified.
        folders: modality → folder that a training run wrote to `adapters/`.

    Raises:
        UnknownNameError: the space has no such modality.
        CheckpointError: the adapters are of another modality or other weights, or not readable.
    """
    for modality, folder in folders.items():
        if modality not in space.modalities:
            raise UnknownNameError("modality", modality, space.modalities)
        space = _merge_one(space, modality, Path(folder))
    return space


def _merge_one(space: Space, modality: str, folder: Path) -> Space:
    config, own = read_json(folder / CONFIG), read_json(folder / OWN)
    old = space.config.modalities[modality]
    spec, tower = space.config.towers[old.tower], space.towers[old.tower]
    if own.get("modality") != modality:
        raise CheckpointError(folder, f"adapters of {own.get('modality')}, not of {modality}")
    if own.get("base") != hash_tower(spec, tower):
        reason = f"adapters of other weights than the {modality} tower of {space.name}; load the "
        raise CheckpointError(folder, reason + "space that they were trained from")
    used = [name for name in UNSUPPORTED if config.get(name)]
    if config.get("peft_type") != "LORA" or used:
        raise CheckpointError(folder, f"expected plain LoRA, found {', '.join(used) or 'another'}")
    merged = _add(folder, copy.deepcopy(tower), SafetensorsFile(folder / WEIGHTS), config)
    settings = from_dict(MODALITIES.get(modality).settings, own.get("settings"), OWN)
    binding = from_dict(Binding, {"tower": old.tower, "settings": None, "scale": own.get("scale")})
    shared = [m for m, b in space.config.modalities.items() if b.tower == old.tower]
    # A tower shared with other modalities stays theirs.
    name = f"{old.tower}_{modality}" if len(shared) > 1 else old.tower
    card = replace(
        space.card,
        measurements=tuple(m for m in space.card.measurements if modality not in m.modalities),
        unrelated=tuple(own for own in space.card.unrelated if modality not in own.modalities),
    )
    bindings = {modality: replace(binding, tower=name, settings=settings)}
    bound = replace(
        space.config,
        towers={**space.config.towers, name: spec},
        modalities={**space.config.modalities, **bindings},
    )
    towers = {**space.towers, name: merged}
    return Space(bound, towers, card, space.folder, space.decoder.limits, space.generator)


@torch.no_grad()
def _add(
    folder: Path, tower: nn.Module, tensors: SafetensorsFile, config: Mapping[str, Any]
) -> nn.Module:
    """Add alpha / rank · B A to the weight of each adapted Linear, computed in float32.

    Raises:
        CheckpointError: a tensor doesn't fit the tower.
    """
    weights = dict(tower.named_parameters())
    for name in tensors:
        if not name.endswith(".lora_A.weight"):
            continue
        layer = name.removesuffix(".lora_A.weight")
        weight = weights.get(layer.removeprefix(PREFIX) + ".weight")
        other = f"{layer}.lora_B.weight"
        if weight is None or other not in tensors:
            raise CheckpointError(folder, f"{name} fits no Linear of the tower")
        down_RD, up_OR = (tensors[part].to(weight.device, torch.float32) for part in (name, other))
        try:
            change_OD = up_OR @ down_RD * (float(config["lora_alpha"]) / float(config["r"]))
            weight.copy_((weight.float() + change_OD).to(weight.dtype))
        except (KeyError, RuntimeError, TypeError, ValueError, ZeroDivisionError) as error:
            raise CheckpointError(folder, f"{name} doesn't fit the tower: {error}") from error
    return tower
