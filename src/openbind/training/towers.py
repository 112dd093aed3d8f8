"""Which network a recipe trains, and how much of it: all, its last layer, or low-rank changes."""

from __future__ import annotations

import copy
import dataclasses
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from openbind.checkpoints import native
from openbind.configs import from_dict, to_dict
from openbind.errors import ConfigError, UnknownNameError
from openbind.model import TOWERS
from openbind.model.blank import blank_weights
from openbind.model.initial import initialise
from openbind.model.tower import Tower
from openbind.presets import PRESETS, TowerSpec
from openbind.space import Space
from openbind.training.lora import LoraPlan, add_lora

_LEAST_DEVIATION = 0.05
"""Added to deviations of features, so that a feature that hardly varies isn't blown up."""


@dataclass(frozen=True, kw_only=True)
class HeadPlan:
    """How the last Linear is trained.

    Args:
        fresh: draw it anew; otherwise it starts as the space has it.
        dropout: of the features, where only this layer is trained.
        standardise: give every feature mean 0 and about deviation 1 over the training items first,
            where only this layer is trained; in the end that is folded into the layer.
        ridge: start as the ridge regression from the standardised features to the frozen items'
            embeddings, with this much added to their correlation's diagonal. A good start where
            pairs are few; a loss that only contrasts goes on from there.
    """

    fresh: bool = False
    dropout: float = 0.0
    standardise: bool = False
    ridge: float | None = None

    def __post_init__(self) -> None:
        if self.ridge is not None and (self.ridge <= 0 or not self.standardise or self.fresh):
            raise ValueError(
                f"ridge: expected a number above 0 with standardise and without fresh, "
                f"found {self.ridge}"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: expected a number in [0, 1), found {self.dropout}")


@dataclass(frozen=True, kw_only=True)
class TowerPlan:
    """One network that a recipe trains.

    Args:
        start: "scratch" draws its weights, "space" takes those that the starting space has.
        size: a named architecture, whose tower for the modality is taken; only from scratch.
        config: what differs from that one, or from the space's; without a size, all of it.
        kind: a name in the table of towers; None is the size's or the space's, else a transformer.
        train: "full" trains all of it, "head" its last Linear, "lora" low-rank changes.
        lora: of `train: lora`.
        settings: preprocessing that differs from the space's, or from the modality's defaults.
        head: of the last Linear.
    """

    start: Literal["scratch", "space"] = "scratch"
    size: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    kind: str | None = None
    train: Literal["full", "head", "lora"] = "full"
    lora: LoraPlan = field(default_factory=LoraPlan)
    settings: dict[str, Any] = field(default_factory=dict)
    head: HeadPlan = field(default_factory=HeadPlan)

    def __post_init__(self) -> None:
        if self.start == "space" and self.size is not None:
            raise ValueError("size: a network that starts from the space has the space's")
        if self.start == "scratch" and self.size is None and not self.config:
            raise ValueError("a network from scratch needs a size or a config")
        if self.start == "scratch" and self.train != "full":
            raise ValueError(
                f"train: {self.train!r} leaves the rest of a network as it was drawn; start: space"
            )
        if self.start == "scratch" and self.head.fresh:
            raise ValueError("head.fresh: a network from scratch has no other")
        if self.train != "head" and (self.head.dropout or self.head.standardise):
            raise ValueError("head.dropout and head.standardise need train: head")
        if self.train != "lora" and self.lora != LoraPlan():
            raise ValueError("lora: needs train: lora")


def build_tower(
    plan: TowerPlan, modality: str, space: Space, seed: int
) -> tuple[TowerSpec, nn.Module]:
    """Make the network that is trained for a modality.

    Args:
        plan: the recipe's.
        modality: which it is for.
        space: the starting one; it isn't changed and shares no tensor with the result.
        seed: of the run; the weights drawn depend on it and the modality's name alone.

    Returns:
        its spec, as the resulting space's config has it, and the network: float32, in training
        mode, its output as wide as the space. Only what is to be trained needs gradients.

    Raises:
        ConfigError: no such tower in the size or the space, an unknown key, another width than the
            space's, weights that don't fit, or layers that aren't there.
        UnknownNameError: no such size or kind.
        MissingExtraError: LoRA without peft.
    """
    where = f"towers.{modality}"
    spec = _read_spec(plan, _starting_spec(plan, modality, space), space.dim, where)
    generator = torch.Generator().manual_seed(zlib.crc32(f"{seed}/{modality}".encode()))
    if plan.start == "space":
        tower = _copy_tower(spec, space.towers[space.config.modalities[modality].tower], where)
    else:
        tower = _draw_tower(spec, generator)
    if plan.head.fresh:
        _draw_head(head_layer(tower), generator)
    tower.requires_grad_(plan.train == "full")
    if plan.train == "head":
        if plan.head.standardise and head_layer(tower).bias is None:
            raise ConfigError(f"{where}.head.standardise: the last Linear needs a bias to fold "
                              "the mean into; config: {head: {bias: true}}")  # fmt: skip
        head_layer(tower).requires_grad_(True)
    elif plan.train == "lora":
        with _drawing_from(generator):
            add_lora(tower, plan.lora, where)
    return spec, tower.train()


def trained_names(tower: nn.Module) -> tuple[str, ...]:
    """Names of the parameters that are trained, in the network's order."""
    return tuple(name for name, value in tower.named_parameters() if value.requires_grad)


def head_layer(tower: nn.Module) -> nn.Linear:
    """Find the last Linear: a transformer's `head.proj`, another network's `head`.

    Raises:
        ConfigError: the network has none.
    """
    owner, name = _head_place(tower)
    layer: nn.Linear = getattr(owner, name)
    return layer


def features(tower: nn.Module, batch: Tensor) -> Tensor:
    """Compute what the last Linear gets, as in inference, without gradients.

    Args:
        tower: a network with a `head_layer`.
        batch: what it takes, (B, ...), in its precision and on its device.

    Returns:
        (B, D) float32.
    """
    training = tower.training
    try:
        with _without_head(tower.eval()), torch.no_grad():
            features_BD: Tensor = tower(batch).float()
    finally:
        tower.train(training)
    return features_BD


class HeadNet(nn.Module):
    """The last Linear alone, on features computed once; `fold_head` puts it back.

    Args:
        tower: whose it is. Unless the layer is fresh, the net starts as the function that it is.
        plan: of the training.
        features_ND: of the training items, whose mean and deviation standardise; only looked at
            if the plan asks for that.
        targets_NE: the frozen items' vectors that they belong to, for `ridge`.
    """

    mean_D: Tensor
    deviation_D: Tensor

    def __init__(
        self, tower: nn.Module, plan: HeadPlan, features_ND: Tensor, targets_NE: Tensor
    ) -> None:
        super().__init__()
        layer = head_layer(tower)
        self.dropout = plan.dropout
        weight_ED = layer.weight.detach()
        mean_D, deviation_D = torch.zeros_like(weight_ED[0]), torch.ones_like(weight_ED[0])
        if plan.standardise:
            deviation_D, mean_D = torch.std_mean(features_ND.to(weight_ED), dim=0, correction=0)
            deviation_D = deviation_D + _LEAST_DEVIATION
        self.register_buffer("mean_D", mean_D)
        self.register_buffer("deviation_D", deviation_D)
        self.linear = copy.deepcopy(layer).requires_grad_(True)
        if plan.standardise and not plan.fresh:
            with torch.no_grad():
                self.linear.weight.mul_(deviation_D)
                self.linear.bias.add_(weight_ED @ mean_D)
        if plan.ridge is not None:
            scaled_ND = (features_ND.to(weight_ED) - mean_D) / deviation_D
            weight, bias = _solve_ridge(scaled_ND, targets_NE.to(weight_ED), plan.ridge)
            with torch.no_grad():
                self.linear.weight.copy_(weight)
                self.linear.bias.copy_(bias)

    def forward(self, features_BD: Tensor) -> Tensor:
        """Embed features: (B, D) to (B, E), not yet of unit length."""
        scaled_BD = (features_BD - self.mean_D) / self.deviation_D
        embed_BE: Tensor = self.linear(F.dropout(scaled_BD, self.dropout, self.training))
        return embed_BE


@torch.no_grad()
def fold_head(net: HeadNet, tower: nn.Module) -> None:
    """Set a tower's last Linear to what was trained: weight / deviation, bias - weight · mean."""
    layer = head_layer(tower)
    weight_ED = net.linear.weight.double() / net.deviation_D
    layer.weight.copy_(weight_ED)
    if layer.bias is not None:
        layer.bias.copy_(net.linear.bias - weight_ED @ net.mean_D.double())


def _solve_ridge(x_ND: Tensor, y_NE: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Give weight and bias of the affine map of least squares, solved in float64 (centred)."""
    x_ND, y_NE = x_ND.double(), y_NE.double()
    mean_D, mean_E = x_ND.mean(dim=0), y_NE.mean(dim=0)
    x_ND, y_NE = x_ND - mean_D, y_NE - mean_E
    diagonal_DD = ridge * torch.eye(x_ND.shape[1], dtype=x_ND.dtype, device=x_ND.device)
    count = len(x_ND)
    correlation_DD = x_ND.T @ x_ND / count + diagonal_DD
    weight_DE = torch.linalg.solve(correlation_DD, x_ND.T @ y_NE / count)
    return weight_DE.T, mean_E - mean_D @ weight_DE


def _starting_spec(plan: TowerPlan, modality: str, space: Space) -> TowerSpec | None:
    """The tower that a plan's own values are put over; None if it has all of them."""
    if plan.start == "scratch" and plan.size is None:
        return None
    if plan.size is not None and plan.size not in PRESETS:
        raise UnknownNameError("size", plan.size, PRESETS)
    config = space.config if plan.size is None else PRESETS[plan.size]()
    if modality not in config.modalities:
        advice = "start: scratch" if plan.size is None else "give its config in place of a size"
        raise ConfigError(
            f"towers.{modality}: {config.name} has no {modality}, only "
            f"{', '.join(config.modalities)}; {advice}"
        )
    return config.towers[config.modalities[modality].tower]


def _read_spec(plan: TowerPlan, start: TowerSpec | None, dim: int, where: str) -> TowerSpec:
    """Put the plan's values over the start's, and the space's dimension into them."""
    kind = plan.kind or ("transformer" if start is None else start.kind)
    if start is not None and kind != start.kind:
        raise ConfigError(f"{where}.kind: {kind!r}, but what it starts from is a {start.kind!r}")
    config_type = TOWERS.get(kind).config_type
    values = _merge({} if start is None else to_dict(start.config), to_dict(plan.config))
    names = {f.name for f in dataclasses.fields(config_type)}
    if "embed_dim" in names:
        values = _with_dim(values, plan.config, dim, where)
    elif "head" in names and isinstance(values.get("head", {}), dict):
        head = _with_dim(values.get("head", {}), plan.config.get("head", {}), dim, where)
        values = {**values, "head": head}
    return TowerSpec(kind=kind, config=from_dict(config_type, values, f"{where}.config"))


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        nested = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if nested else value
    return merged


def _with_dim(values: dict[str, Any], said: dict[str, Any], dim: int, where: str) -> dict[str, Any]:
    if said.get("embed_dim", dim) != dim:
        raise ConfigError(
            f"{where}.config: embed_dim is {said['embed_dim']}, but the space has {dim} dimensions"
        )
    return {**values, "embed_dim": dim}


def _draw_tower(spec: TowerSpec, generator: torch.Generator) -> nn.Module:
    with _drawing_from(generator):
        tower = native.build_tower(spec)
    return initialise(tower, generator) if isinstance(tower, Tower) else tower


def _copy_tower(spec: TowerSpec, old: nn.Module, where: str) -> nn.Module:
    """Give a network of this spec the weights of the space's, in float32."""
    with blank_weights():
        tower = native.build_tower(spec)
    blank = tower.state_dict()
    state = {
        key: value.to(torch.float32 if value.is_floating_point() else None, copy=True)
        for key, value in old.state_dict().items()
    }
    for key, value in blank.items():
        if key not in state and key.endswith("bias"):  # one of 0 is none
            state[key] = torch.zeros(value.shape, device=next(old.parameters()).device)
    wrong = sorted(
        key
        for key in blank.keys() | state.keys()
        if key not in blank or key not in state or blank[key].shape != state[key].shape
    )
    if wrong:
        raise ConfigError(
            f"{where}.config: {len(wrong)} tensors of the space's network don't fit, such as "
            f"{wrong[0]}; a network that starts from the space keeps its sizes"
        )
    tower.load_state_dict(state, assign=True)
    return tower


def _draw_head(layer: nn.Linear, generator: torch.Generator) -> None:
    """Draw it as `initialise` does, U(±1/√inputs), with a bias of 0."""
    bound = layer.in_features**-0.5
    drawn = torch.empty(layer.weight.shape).uniform_(-bound, bound, generator=generator)
    with torch.no_grad():
        layer.weight.copy_(drawn)
        if layer.bias is not None:
            layer.bias.zero_()


def _head_place(tower: nn.Module) -> tuple[nn.Module, str]:
    """The module that holds the last Linear, and its name there."""
    head = getattr(tower, "head", None)
    if isinstance(head, nn.Linear):
        return tower, "head"
    if isinstance(head, nn.Module) and isinstance(getattr(head, "proj", None), nn.Linear):
        return head, "proj"
    raise ConfigError(
        f"a {type(tower).__name__} of this config has no last Linear (`head` or `head.proj`) "
        "that could be trained by itself; train: full"
    )


@contextmanager
def _without_head(tower: nn.Module) -> Iterator[None]:
    """Let a tower give what its last Linear gets."""
    owner, name = _head_place(tower)
    layer = getattr(owner, name)
    setattr(owner, name, nn.Identity())
    try:
        yield
    finally:
        setattr(owner, name, layer)


@contextmanager
def _drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Let PyTorch's own initial weights be drawn from a generator's seed, not from global state."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(generator.initial_seed())
        yield
