"""The config of a space, and its form as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from openbind.configs import Range, Width, from_dict, to_dict
from openbind.errors import ConfigError, shorten
from openbind.modalities import MODALITIES
from openbind.model import TOWERS

DTYPES = ("float32", "bfloat16", "float16", "float64")
"""Precisions that towers compute in."""
MAX_NAME = 200


@dataclass(frozen=True, kw_only=True)
class TowerSpec:
    """One network of a space.

    Args:
        kind: a name in the registry of towers.
        config: a frozen dataclass of that kind.
    """

    kind: str
    config: Any


@dataclass(frozen=True, kw_only=True)
class Binding:
    """How a space embeds one modality.

    Args:
        tower: name of its tower; modalities may share one.
        settings: the modality's settings: everything that affects the preprocessed tensor.
        scale: logit scale; the similarity of modalities a and b is scale_a · scale_b · cosine.
    """

    tower: str
    settings: Any
    scale: Annotated[float, Range(1e-6, 1e6)] = 1.0


@dataclass(frozen=True, kw_only=True)
class SpaceConfig:
    """Everything about a space except weights and card.

    Args:
        name: of the space.
        dim: of the joint embedding.
        towers: name → network.
        modalities: name → tower, settings and scale.
        dtype: precision to compute in ("float32", "bfloat16", "float16"); None leaves the choice
            to the machine.
    """

    name: str
    dim: Width
    towers: dict[str, TowerSpec]
    modalities: dict[str, Binding]
    dtype: str | None = None

    def narrow(self, modalities: list[str] | tuple[str, ...]) -> SpaceConfig:
        """Return a config with some of the modalities and their towers."""
        kept = {name: self.modalities[name] for name in self.modalities if name in modalities}
        used = {binding.tower for binding in kept.values()}
        towers = {name: tower for name, tower in self.towers.items() if name in used}
        return SpaceConfig(
            name=self.name, dim=self.dim, towers=towers, modalities=kept, dtype=self.dtype
        )


def write_space_config(config: SpaceConfig) -> dict[str, Any]:
    """Convert a config to plain values for JSON; the inverse of `read_space_config`."""
    values: dict[str, Any] = to_dict(config)
    return values


def read_space_config(values: dict[str, Any]) -> SpaceConfig:
    """Build a config from plain values; towers and modalities have their own dataclasses.

    Raises:
        ConfigError: an unknown or missing key or a wrong value, with its path in the file.
        UnknownNameError: a tower or modality that isn't registered.
    """
    if not isinstance(values, dict) or not all(
        isinstance(values.get(part), dict) for part in ("towers", "modalities")
    ):
        raise ConfigError("expected the mappings 'towers' and 'modalities'")
    towers = {}
    for name, part in values["towers"].items():
        spec = from_dict(TowerSpec, part, f"towers.{name}")
        kind = TOWERS.get(spec.kind).config_type
        towers[name] = TowerSpec(
            kind=spec.kind, config=from_dict(kind, spec.config, f"towers.{name}.config")
        )
    modalities = {}
    for name, part in values["modalities"].items():
        binding = from_dict(Binding, part, f"modalities.{name}")
        settings = from_dict(
            MODALITIES.get(name).settings, binding.settings, f"modalities.{name}.settings"
        )
        if binding.tower not in towers:
            raise ConfigError(f"modalities.{name}.tower: no tower named {binding.tower!r}")
        modalities[name] = Binding(tower=binding.tower, settings=settings, scale=binding.scale)
    rest = {k: v for k, v in values.items() if k not in ("towers", "modalities")}
    config = from_dict(SpaceConfig, {**rest, "towers": towers, "modalities": modalities})
    if config.dtype not in (None, *DTYPES):
        raise ConfigError(f"dtype: expected one of {DTYPES}, found {shorten(config.dtype)}")
    if not config.name.isprintable() or len(config.name) > MAX_NAME:
        reason = f"expected at most {MAX_NAME} printable characters, found {shorten(config.name)}"
        raise ConfigError(f"name: {reason}")
    for name, tower in towers.items():
        dim = embed_dim(tower.config)
        if dim not in (None, config.dim):
            raise ConfigError(f"dim: {config.dim}, but the tower {name} has {dim} dimensions")
    return config


def embed_dim(config: Any) -> int | None:
    """Return the dimensions of a tower's embedding; None if its config doesn't state them."""
    stated = getattr(config, "embed_dim", None) or getattr(
        getattr(config, "head", None), "embed_dim", None
    )
    return stated if isinstance(stated, int) else None
