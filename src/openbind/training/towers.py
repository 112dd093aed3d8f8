"""Build the tower that a recipe trains: in full, its last layer, or low-rank adapters."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Collection, Iterator
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
from openbind.training.heads import (
    HeadPlan,
    clear_mixture,
    draw_head,
    head_layer,
    trained_layers,
)
from openbind.training.lora import LoraPlan, add_lora


@dataclass(frozen=True, kw_only=True)
class TowerPlan:
    """One tower that a recipe trains.

    Args:
        start: "scratch" initializes its weights randomly, "space" with the starting space's.
        size: a preset with a tower for the modality; only from scratch.
        config: what differs from the preset or the space; without a size, the whole config.
        kind: a name in `TOWERS`; None is the preset's or the space's, else a transformer.
        train: "full" trains all weights, "head" the last Linear and what else a tower has as its
            head, "lora" low-rank adapters.
        lora: of `train: lora`.
        settings: preprocessing that differs from the space's, or from the modality's defaults.
        head: of the last Linear.
        learned: of `train: head`, the fraction of the learned weights in the result; the rest are
            the starting space's (see `interpolate`), which keeps more of what it knew.
    """

    start: Literal["scratch", "space"] = "scratch"
    size: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    kind: str | None = None
    train: Literal["full", "head", "lora"] = "full"
    lora: LoraPlan = field(default_factory=LoraPlan)
    settings: dict[str, Any] = field(default_factory=dict)
    head: HeadPlan = field(default_factory=HeadPlan)
    learned: float = 1.0

    def __post_init__(self) -> None:
        if self.start == "space" and self.size is not None:
            raise ValueError("size: only with start: scratch; start: space has the space's size")
        if self.start == "scratch" and self.size is None and not self.config:
            raise ValueError("start: scratch needs a size or a config")
        if self.start == "scratch" and self.train != "full":
            raise ValueError(
                f"train: {self.train!r} would leave random weights frozen; use start: space"
            )
        if self.start == "scratch" and self.head.fresh:
            raise ValueError("head.fresh: no effect with start: scratch")
        if self.train != "head" and (self.head.dropout or self.head.standardize):
            raise ValueError("head.dropout and head.standardize need train: head")
        if not 0 < self.learned <= 1 or (self.learned < 1 and self.train != "head"):
            raise ValueError(
                f"learned: expected a fraction in (0, 1], less than 1 only with train: head, "
                f"found {self.learned}"
            )
        if self.train != "lora" and self.lora != LoraPlan():
            raise ValueError("lora: needs train: lora")


def build_tower(
    plan: TowerPlan, modality: str, space: Space, seed: int
) -> tuple[TowerSpec, nn.Module]:
    """Build the tower that is trained for a modality.

    Args:
        plan: from the recipe.
        modality: name of its modality.
        space: the starting one; it isn't changed and shares no tensor with the result.
        seed: of the run; random weights depend only on it and the modality's name.

    Returns:
        its spec for the resulting space's config, and the network: float32, in training mode, with
        the space's output width. Only the weights that are trained need gradients.

    Raises:
        ConfigError: the size or the space has no such tower, an unknown key, another width than
            the space's, weights that don't fit, or missing layers.
        UnknownNameError: no such size or kind.
        MissingExtraError: LoRA without peft.
    """
    where = f"towers.{modality}"
    spec = _read_spec(plan, _starting_spec(plan, modality, space), space.dim, where)
    generator = torch.Generator().manual_seed(zlib.crc32(f"{seed}/{modality}".encode()))
    if getattr(TOWERS.get(spec.kind), "is_reference", False):
        raise ConfigError(
            f"{where}: its weights are another model's, which stays as it is; train a modality "
            "that the model doesn't have"
        )
    if plan.start == "space":
        old = space.towers[space.config.modalities[modality].tower]
        tower = _copy_tower(spec, old, where, "head.beside." if plan.head.mixture else None)
    else:
        tower = _draw_tower(spec, generator)
    if plan.head.fresh:
        draw_head(head_layer(tower), generator)
        clear_mixture(tower)
    tower.requires_grad_(plan.train == "full")
    if plan.train == "head":
        if plan.head.standardize and head_layer(tower).bias is None:
            raise ConfigError(f"{where}.head.standardize: the last Linear needs a bias to fold "
                              "the mean into; config: {head: {bias: true}}")  # fmt: skip
        for layer in trained_layers(tower):
            layer.requires_grad_(True)
    elif plan.train == "lora":
        with _drawing_from(generator):
            add_lora(tower, plan.lora, where)
    return spec, tower.train()


def trained_names(tower: nn.Module) -> tuple[str, ...]:
    """Return the names of the trained parameters, in the network's order."""
    return tuple(name for name, value in tower.named_parameters() if value.requires_grad)


def _starting_spec(plan: TowerPlan, modality: str, space: Space) -> TowerSpec | None:
    """Return the spec that a plan's values are merged into; None if the plan has all of them."""
    if plan.start == "scratch" and plan.size is None:
        return None
    if plan.size is not None and plan.size not in PRESETS:
        raise UnknownNameError("size", plan.size, PRESETS)
    config = space.config if plan.size is None else PRESETS[plan.size]()
    if modality not in config.modalities:
        advice = "use start: scratch" if plan.size is None else "use a config instead of a size"
        raise ConfigError(
            f"towers.{modality}: {config.name} has no {modality}, only "
            f"{', '.join(config.modalities)}; {advice}"
        )
    return config.towers[config.modalities[modality].tower]


def _read_spec(plan: TowerPlan, start: TowerSpec | None, dim: int, where: str) -> TowerSpec:
    """Merge the plan's values into the start's, with the space's dimension."""
    kind = plan.kind or ("transformer" if start is None else start.kind)
    if start is not None and kind != start.kind:
        raise ConfigError(f"{where}.kind: {kind!r}, but it starts from a {start.kind!r}")
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


def _with_dim(
    values: dict[str, Any], given: dict[str, Any], dim: int, where: str
) -> dict[str, Any]:
    if given.get("embed_dim", dim) != dim:
        raise ConfigError(
            f"{where}.config: embed_dim is {given['embed_dim']}, but the space has {dim} dimensions"
        )
    return {**values, "embed_dim": dim}


def _draw_tower(spec: TowerSpec, generator: torch.Generator) -> nn.Module:
    with _drawing_from(generator):
        tower = native.build_tower(spec)
    return initialize(tower, generator) if isinstance(tower, Tower) else tower


def _copy_tower(
    spec: TowerSpec, old: nn.Module, where: str, relearned: str | None = None
) -> nn.Module:
    """Return a network of this spec with the weights of the space's, in float32.

    Weights of names that start with `relearned` are zero.
    """
    with blank_weights():
        tower = native.build_tower(spec)
    blank = tower.state_dict()
    state = {
        key: value.to(torch.float32 if value.is_floating_point() else None, copy=True)
        for key, value in _named_alike(old.state_dict(), blank).items()
        if relearned is None or not key.startswith(relearned)
    }
    for key, value in blank.items():
        new = relearned is not None and key.startswith(relearned)
        if new or (key not in state and key.endswith("bias")):  # no bias is a bias of 0
            state[key] = torch.zeros(value.shape, device=next(old.parameters()).device)
    mismatched = sorted(
        key
        for key in blank.keys() | state.keys()
        if key not in blank or key not in state or blank[key].shape != state[key].shape
    )
    if mismatched:
        raise ConfigError(
            f"{where}.config: {len(mismatched)} tensors of the space's tower don't fit, such as "
            f"{mismatched[0]}; with start: space the sizes are the space's"
        )
    tower.load_state_dict(state, assign=True)
    return tower


def _named_alike(state: dict[str, torch.Tensor], blank: Collection[str]) -> dict[str, torch.Tensor]:
    """Return weights by the names of a network whose head may have a mixture beside it."""
    if "head.proj.weight" not in blank or "head.weight" not in state:
        return state
    names = {f"head.{part}": f"head.proj.{part}" for part in ("weight", "bias")}
    return {names.get(name, name): value for name, value in state.items()}


@contextmanager
def _drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Seed PyTorch's own initialization from a generator, and restore the global state."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(generator.initial_seed())
        yield
