"""LoRA: low-rank adapters of frozen Linears, through peft (arXiv 2106.09685)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor, nn

from openbind.errors import ConfigError, MissingExtraError

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class LoraPlan:
    """Low-rank adapters of a tower.

    Args:
        rank: of each adapter.
        alpha: an adapter's output is scaled by alpha / rank.
        dropout: of an adapter's input in training.
        layers: attribute names of the Linears that get one.
    """

    rank: int = 8
    alpha: int = 16
    dropout: float = 0.0
    layers: tuple[str, ...] = ("in_proj", "out_proj", "fc1", "fc2")

    def __post_init__(self) -> None:
        if self.rank < 1 or self.alpha <= 0 or not self.layers:
            raise ValueError("expected rank and alpha greater than 0, and at least one layer")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: expected a number in [0, 1), found {self.dropout}")


def add_lora(tower: nn.Module, plan: LoraPlan, where: str) -> None:
    """Add adapters to a tower's Linears, initialized so that its output is unchanged.

    Raises:
        ConfigError: no Linear has such a name.
        MissingExtraError: peft isn't installed.
    """
    try:
        import peft
    except ImportError as error:
        raise MissingExtraError("LoRA", "peft", "lora") from error
    linears = {n.rpartition(".")[2] for n, m in tower.named_modules() if type(m) is nn.Linear}
    unknown = [name for name in plan.layers if name not in linears]
    if unknown:
        raise ConfigError(
            f"{where}.lora.layers: no Linear named {unknown[0]!r}; known: "
            f"{', '.join(sorted(linears)) or 'none'}"
        )
    peft.inject_adapter_in_model(peft.LoraConfig(**as_peft(plan)), tower)


def adapters_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the adapters among a tower's weights, under the names that peft stores."""
    return {
        name.replace(".default.", "."): value for name, value in state.items() if ".lora_" in name
    }


def as_peft(plan: LoraPlan) -> dict[str, Any]:
    """Return a plan as peft's config calls it."""
    return {
        "r": plan.rank,
        "lora_alpha": plan.alpha,
        "lora_dropout": plan.dropout,
        "target_modules": list(plan.layers),
    }


def merge_lora(tower: Network) -> Network:
    """Return a copy of a tower with its adapters merged into the weights, under plain names.

    Its outputs are those of the tower in evaluation, up to rounding; the tower is unchanged.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    merged = copy.deepcopy(tower)
    changed = [(n, m) for n, m in merged.named_modules() if isinstance(m, BaseTunerLayer)]
    for name, module in changed:
        module.merge()
        owner, _, last = name.rpartition(".")
        setattr(merged.get_submodule(owner), last, module.get_base_layer())
    return merged
