"""A tower that a run trains: as the recipe plans it, as the processes share it, as it comes out."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from openbind.configs import from_dict, to_dict
from openbind.errors import ConfigError
from openbind.modalities import MODALITIES
from openbind.space.space import Space
from openbind.training.distributed import World, full_state, share
from openbind.training.heads import HeadNet, fold_head
from openbind.training.lora import merge_lora
from openbind.training.recipe import Hardware
from openbind.training.towers import TowerPlan, build_tower


class TrainedTower:
    """One trained tower.

    Args:
        plan: what the recipe says of it.
        modality: whose it is.
        space: the starting one.
        seed: of weights that are drawn.

    Attributes:
        spec, tower: what it is made of, and the plain network.
        settings: of the modality's preprocessing.
    """

    def __init__(self, plan: TowerPlan, modality: str, space: Space, seed: int) -> None:
        self.plan, self.modality = plan, modality
        self.settings = choose_settings(plan, modality, space)
        self.spec, self.tower = build_tower(plan, modality, space, seed)
        self.net: nn.Module = self.tower
        self.average: AveragedModel | None = None

    def begin(
        self,
        hardware: Hardware,
        world: World,
        ema: float | None,
        kept: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> None:
        """Put the network where it is trained.

        Args:
            hardware: of the recipe.
            world: the processes.
            ema: decay of the moving average of the weights, or None.
            kept: features_ND of the frozen body and the vectors they belong to, targets_NE, where
                only a head is trained.

        Raises:
            ConfigError: what the recipe asks for doesn't go together.
        """
        plain: nn.Module = self.tower
        if kept is not None:
            plain = HeadNet(self.tower, self.plan.head, *kept)
        trunk = getattr(self.tower, "trunk", None)
        if hardware.activation_checkpointing:
            if trunk is None or not hasattr(trunk, "recompute"):
                raise ConfigError(
                    f"hardware.activation_checkpointing: {self.modality}'s tower has no blocks"
                )
            trunk.recompute = True
        # Kept beside the shared one: sharding takes the weights out of a module for good.
        self._plain = plain
        working = copy.deepcopy(plain) if world.size > 1 else plain
        self.net = share(working.to(world.device).train(), world, hardware.parallel)
        if ema is not None:
            if world.size > 1 and hardware.parallel == "fsdp":
                raise ConfigError("schedule.ema_decay: not with hardware.parallel: fsdp; use ddp")
            self.average = AveragedModel(self.net, multi_avg_fn=get_ema_multi_avg_fn(ema))

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Embed a batch for the loss: unit vectors (B, E) in float32."""
        return F.normalize(self.net(x).float(), dim=-1)

    def update_average(self) -> None:
        """Take the weights of a step into their moving average, if there is one."""
        if self.average is not None:
            self.average.update_parameters(self.net)

    def state(self) -> dict[str, torch.Tensor]:
        """Weights as they are trained, on the CPU, under plain names; all processes must call."""
        return full_state(self.net)

    def average_state(self) -> dict[str, torch.Tensor] | None:
        """The moving average of the weights, as `state`."""
        return None if self.average is None else full_state(self.average.module)

    def finished_tower(self, state: Mapping[str, torch.Tensor]) -> nn.Module:
        """Return the plain network with some weights: heads folded in, adapters merged.

        Args:
            state: as `state` or `average_state` gave it.
        """
        plain = copy.deepcopy(self._plain).cpu()
        plain.load_state_dict(state)
        if isinstance(plain, HeadNet):
            tower = copy.deepcopy(self.tower)
            fold_head(plain, tower)
            return tower.eval()
        return merge_lora(plain).eval() if self.plan.train == "lora" else plain.eval()


def choose_settings(plan: TowerPlan, modality: str, space: Space) -> Any:
    """Return a trained modality's preprocessing: the space's or the defaults, with changes.

    Raises:
        ConfigError: no such field (the nearest is named), or a wrong value.
    """
    kind = MODALITIES.get(modality).settings
    known = space.config.modalities.get(modality)
    base = kind() if known is None else known.settings
    return from_dict(kind, {**to_dict(base), **plan.settings}, f"towers.{modality}.settings")
