"""Which network a recipe trains, and how much of it: all, its last layer, or low-rank changes."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import nn

from openbind.checkpoints import native
from openbind.configs import from_dict, to_dict
from openbind.errors import ConfigError, UnknownNameError
from openbind.model import TOWERS
from openbind.model.blank import blank_weights
from openbind.model.initial import initialize
from openbind.model.tower import Tower
from openbind.presets import PRESETS
from openbind.space.config import TowerSpec
from openbind.space.space import Space
from openbind.training.heads import HeadPlan, draw_head, head_layer
from openbind.training.lora import LoraPlan, add_lora


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
        if self.train != "head" and (self.head.dropout or self.head.standardize):
            raise ValueError("head.dropout and head.standardize need train: head")
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
        draw_head(head_layer(tower), generator)
    tower.requires_grad_(plan.train == "full")
    if plan.train == "head":
        if plan.head.standardize and head_layer(tower).bias is None:
            raise ConfigError(f"{where}.head.standardize: the last Linear needs a bias to fold "
                              "the mean into; config: {head: {bias: true}}")  # fmt: skip
        head_layer(tower).requires_grad_(True)
    elif plan.train == "lora":
        with _drawing_from(generator):
            add_lora(tower, plan.lora, where)
    return spec, tower.train()


def trained_names(tower: nn.Module) -> tuple[str, ...]:
    """Names of the parameters that are trained, in the network's order."""
    return tuple(name for name, value in tower.named_parameters() if value.requires_grad)


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
    return initialize(tower, generator) if isinstance(tower, Tower) else tower


def _copy_tower(spec: TowerSpec, old: nn.Module, where: str) -> nn.Module:
    """Return a network of this spec the weights of the space's, in float32."""
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


@contextmanager
def _drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Let PyTorch's own initial weights be drawn from a generator's seed, not from global state."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(generator.initial_seed())
        yield
