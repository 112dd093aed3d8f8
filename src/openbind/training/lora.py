"""LoRA: low-rank changes of frozen Linears, through peft (arXiv 2106.09685)."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TypeVar

from torch import nn

from openbind.errors import ConfigError, MissingExtraError

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class LoraPlan:
    """Which Linears are changed, and how.

    Args:
        rank: of each change.
        alpha: a change counts alpha / rank.
        dropout: of a change's input, while training.
        layers: last names of the Linears that are changed.
    """

    rank: int = 8
    alpha: int = 16
    dropout: float = 0.0
    layers: tuple[str, ...] = ("in_proj", "out_proj", "fc1", "fc2")

    def __post_init__(self) -> None:
        if self.rank < 1 or self.alpha <= 0 or not self.layers:
            raise ValueError("rank and alpha must be greater than 0, and layers named")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: expected a number in [0, 1), found {self.dropout}")


def add_lora(tower: nn.Module, plan: LoraPlan, where: str) -> None:
    """Put low-rank changes on a tower's Linears; they change nothing until they are trained."""
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
    config = peft.LoraConfig(
        r=plan.rank,
        lora_alpha=plan.alpha,
        lora_dropout=plan.dropout,
        target_modules=list(plan.layers),
    )
    peft.inject_adapter_in_model(config, tower)


def merge_lora(tower: Network) -> Network:
    """Return a copy of a tower with its low-rank changes added to the weights, and plain names.

    Its outputs are those of the tower in evaluation, to rounding; the tower itself can go on
    training.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    merged = copy.deepcopy(tower)
    changed = [(n, m) for n, m in merged.named_modules() if isinstance(m, BaseTunerLayer)]
    for name, module in changed:
        module.merge()
        owner, _, last = name.rpartition(".")
        setattr(merged.get_submodule(owner), last, module.get_base_layer())
    return merged
