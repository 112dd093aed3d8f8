"""A trained tower: built as planned, trained on the run's device, returned as a plain network."""

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
from openbind.model.class_mixture import classify
from openbind.space.space import Space
from openbind.training.distributed import World, full_state, share
from openbind.training.heads import HeadNet, classifier_of, fold_head
from openbind.training.lora import merge_lora
from openbind.training.recipe import Hardware
from openbind.training.towers import TowerPlan, build_tower

CPU = torch.device("cpu")


class TrainedTower:
    """One trained tower.

    Args:
        plan: from the recipe.
        modality: its name.
        space: the starting space.
        seed: of initial weights.
        device: where it is trained.

    Attributes:
        spec, tower: the tower's config, and the plain network on the device.
        settings: of the modality's preprocessing.
        net: the trained network: the tower or its head alone, shared between processes.
    """

    def __init__(
        self, plan: TowerPlan, modality: str, space: Space, seed: int, device: torch.device = CPU
    ) -> None:
        self.plan, self.modality, self.device = plan, modality, device
        self.settings = choose_settings(plan, modality, space)
        self.spec, tower = build_tower(plan, modality, space, seed)
        self.tower = tower.to(device)
        self.net: nn.Module = self.tower
        self.average: AveragedModel | None = None

    def begin(
        self,
        hardware: Hardware,
        world: World,
        ema_decay: float | None,
        cached: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None,
    ) -> None:
        """Prepare the network for training.

        Args:
            hardware: from the recipe.
            world: the processes.
            ema_decay: of the moving average of the weights, or None.
            cached: features_ND of the frozen body, their targets_NE and weight_N, where only a head
                is trained.

        Raises:
            ConfigError: options that don't go together, or torch.compile doesn't work here.
        """
        if hardware.activation_checkpointing:
            self._checkpoint_activations()
        net = self.tower if cached is None else HeadNet(self.tower, self.plan.head, *cached)
        # FSDP removes the weights from the module that it shards: copy it before.
        self._plain = net if world.size == 1 else copy.deepcopy(net).cpu()
        net.to(world.device).train()
        if hardware.compile:
            _require_compiler(world.device)
            net.compile()  # in place: names of weights stay
        self.net = share(net, world, hardware.parallel)
        if ema_decay is not None:
            if world.size > 1 and hardware.parallel == "fsdp":
                raise ConfigError("schedule.ema_decay: not with hardware.parallel: fsdp; use ddp")
            self.average = AveragedModel(self.net, multi_avg_fn=get_ema_multi_avg_fn(ema_decay))

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Embed a batch for the loss: unit vectors (B, E) in float32."""
        return F.normalize(self.net(x).float(), dim=-1)

    def num_classes(self) -> int:
        """Return the number of classes of the tower's own classifier, for `keep`.

        Raises:
            ConfigError: it has none, or more than the head is trained.
        """
        if self.plan.train != "head":
            raise ConfigError(f"keep: needs towers.{self.modality}.train: head")
        return classifier_of(self.tower).out_features

    @torch.no_grad()
    def classify(self, features_BD: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, C) of the tower's own, frozen classifier."""
        return classify(classifier_of(self.tower), features_BD)

    def update_average(self) -> None:
        """Update the moving average with the weights of a step."""
        if self.average is not None:
            self.average.update_parameters(self.net)

    def state(self) -> dict[str, Any]:
        """Return the current weights in the first process; see `full_state`."""
        return full_state(self.net)

    def average_state(self) -> dict[str, Any] | None:
        """Return the moving average of the weights, as `state`; None if there is none."""
        return None if self.average is None else full_state(self.average.module)

    def validation_state(self) -> dict[str, Any]:
        """Return the moving average of the weights, or the current ones, in all processes."""
        net = self.net if self.average is None else self.average.module
        return full_state(net, everywhere=True)

    def finished_tower(self, state: Mapping[str, Any]) -> nn.Module:
        """Return the plain tower with given weights, in evaluation mode on the device.

        Args:
            state: from `state` or `average_state`; a head is folded in, adapters are merged, and
                the result interpolated as planned.
        """
        net = copy.deepcopy(self._plain)
        net.load_state_dict(state)
        net.to(self.device)
        if isinstance(net, HeadNet):
            tower = copy.deepcopy(self.tower).to(self.device)
            fold_head(net, tower)
            interpolate(tower, self.tower, self.plan.learned)
            return tower.eval()
        return merge_lora(net).eval() if self.plan.train == "lora" else net.eval()

    def _checkpoint_activations(self) -> None:
        trunk = getattr(self.tower, "trunk", None)
        if trunk is None or not hasattr(trunk, "recompute"):
            raise ConfigError(
                f"hardware.activation_checkpointing: the tower of {self.modality} has no "
                "transformer blocks"
            )
        trunk.recompute = True


def choose_settings(plan: TowerPlan, modality: str, space: Space) -> Any:
    """Return a trained modality's preprocessing: the space's or the defaults, with changes.

    Raises:
        ConfigError: no such field (the nearest is named), or a wrong value.
    """
    kind = MODALITIES.get(modality).settings
    known = space.config.modalities.get(modality)
    base = kind() if known is None else known.settings
    return from_dict(kind, {**to_dict(base), **plan.settings}, f"towers.{modality}.settings")


@torch.no_grad()
def interpolate(tower: nn.Module, start: nn.Module, learned: float) -> None:
    """Move a tower's weights toward those that training started from.

    Weight-space ensembles keep what the start knows (Wortsman et al. 2022, arXiv 2109.01903).

    Args:
        tower: the trained one, changed in place.
        start: of the same architecture.
        learned: fraction of the trained weights, in (0, 1].
    """
    if learned < 1:
        for weight, old in zip(tower.parameters(), start.parameters(), strict=True):
            weight.copy_(torch.lerp(old, weight, learned))


def _require_compiler(device: torch.device) -> None:
    """Compile a tiny function, so that a missing compiler is an error before training starts.

    Raises:
        ConfigError: torch.compile doesn't work on the device.
    """
    try:
        torch.compile(lambda x: x.sin() + 1)(torch.zeros(2, device=device))
    except Exception as error:  # whatever the compiler's toolchain raises
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(
            f"hardware.compile: torch.compile doesn't work on {device} here ({reason}); "
            "install a C++ compiler, or set it to false"
        ) from error
