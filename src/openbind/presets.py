"""Named architectures as functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openbind.errors import ConfigError
from openbind.modalities import MODALITIES, TEXT
from openbind.model.config import (
    HeadConfig,
    PatchStem,
    TokenStem,
    TowerConfig,
    TrunkConfig,
    WindowStem,
)
from openbind.space.config import Binding, SpaceConfig, TowerSpec


def imagebind_huge() -> SpaceConfig:
    """Return the released ImageBind: CLIP's ViT-H/14 and text tower, and four trained towers.

    Sizes: table 9 of the paper; 1.2 billion parameters.
    """
    sizes = {
        "vision": (1280, 32, 16),
        "text": (1024, 24, 16),
        "audio": (768, 12, 12),
        "depth": (384, 12, 8),
        "thermal": (768, 12, 12),
        "imu": (512, 6, 8),
    }
    return bind("imagebind_huge", _imagebind_towers(sizes, patch=14, embed_dim=1024))


def base() -> SpaceConfig:
    """Return an architecture to train, with the sizes of the paper's ablations.

    CLIP's ViT-B/16 for images with its text tower of 12 layers and width 512, ViT-B for
    audio and thermal, ViT-S for depth (section 5; table 6 has ViT-S ahead for depth).
    """
    sizes = {
        "vision": (768, 12, 12),
        "text": (512, 12, 8),
        "audio": (768, 12, 12),
        "depth": (384, 12, 8),
        "thermal": (768, 12, 12),
        "imu": (512, 6, 8),
    }
    return bind("base", _imagebind_towers(sizes, patch=16, embed_dim=512))


def tiny() -> SpaceConfig:
    """Return an architecture to train on one machine: ViT-S for images, smaller elsewhere."""
    sizes = {
        "vision": (384, 12, 6),
        "text": (256, 6, 4),
        "audio": (384, 6, 6),
        "depth": (192, 6, 3),
        "thermal": (192, 6, 3),
        "imu": (256, 4, 4),
    }
    return bind("tiny", _imagebind_towers(sizes, patch=16, embed_dim=256))


PRESETS = {"imagebind_huge": imagebind_huge, "base": base, "tiny": tiny}
"""Architectures by name."""


def bind(
    name: str,
    towers: Mapping[str, TowerConfig],
    scales: Mapping[str, float] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> SpaceConfig:
    """Return the config of a space with all modalities of some towers.

    Args:
        name: of the space.
        towers: a modality's default tower → its config.
        scales: modality → logit scale; other modalities have their default scale.
        settings: modality → its settings, for these modalities only; None takes all modalities
            with their defaults, which are the reference's.

    Raises:
        ConfigError: the towers' embeddings differ in dimension.
    """
    dims = {tower: config.head.embed_dim for tower, config in towers.items()}
    if len(set(dims.values())) != 1:
        raise ConfigError(f"{name}: expected towers of one dimension, found {dims}")
    modalities = {}
    for modality in MODALITIES.table if settings is None else settings:
        spec = MODALITIES.get(modality)
        if spec.tower in towers:
            chosen = _default_settings(modality, towers) if settings is None else settings[modality]
            scale = (scales or {}).get(modality, spec.scale)
            modalities[modality] = Binding(tower=spec.tower, settings=chosen, scale=scale)
    used = {binding.tower for binding in modalities.values()}
    specs = {t: TowerSpec(kind="transformer", config=c) for t, c in towers.items() if t in used}
    return SpaceConfig(name=name, dim=max(dims.values()), towers=specs, modalities=modalities)


def _default_settings(modality: str, towers: Mapping[str, TowerConfig]) -> Any:
    if modality == TEXT:
        return text_settings(towers[TEXT])
    return MODALITIES.get(modality).settings()


def text_settings(tower: TowerConfig) -> Any:
    """Return text settings with CLIP's vocabulary for a tower of its token ids.

    Raises:
        ConfigError: the tower's stem doesn't take ids.
    """
    if not isinstance(tower.stem, TokenStem):
        raise ConfigError(f"a text tower: expected a TokenStem, found {type(tower.stem).__name__}")
    return MODALITIES.get(TEXT).settings(context=tower.stem.context)


_Size = tuple[int, int, int]  # width, depth, heads


def _imagebind_towers(
    sizes: Mapping[str, _Size], *, patch: int, embed_dim: int
) -> dict[str, TowerConfig]:
    """Return the configs of ImageBind's six towers in given sizes (table 9)."""
    side = (224, 224)
    stems: dict[str, PatchStem | TokenStem | WindowStem] = {
        "vision": _patches(3, (patch, patch), (patch, patch), side, frames=2, norm=False),
        "text": TokenStem(vocabulary=49_408, context=77),
        "audio": _patches(1, (16, 16), (10, 10), (128, 204)),
        "depth": _patches(1, (16, 16), (16, 16), side),
        "thermal": _patches(1, (16, 16), (16, 16), side),
        "imu": WindowStem(channels=6, kernel=8, steps=2000),
    }
    drop_path = {"audio": 0.1, "imu": 0.7}
    towers = {}
    for name, (width, depth, heads) in sizes.items():
        from_clip = name in ("vision", "text")
        trunk = TrunkConfig(
            width=width,
            depth=depth,
            heads=heads,
            bias_kv=not from_clip,
            causal=name == "text",
            pre_norm=name == "vision",
            drop_path=drop_path.get(name, 0.0),
        )
        head = HeadConfig(
            embed_dim=embed_dim,
            pool="eot" if name == "text" else "cls",
            dropout=0.5 if name == "imu" else 0.0,
        )
        towers[name] = TowerConfig(stem=stems[name], trunk=trunk, head=head)
    return towers


def _patches(
    channels: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    size: tuple[int, int],
    frames: int = 1,
    norm: bool = True,
) -> PatchStem:
    return PatchStem(
        channels=channels, kernel=kernel, stride=stride, size=size, frames=frames, norm=norm
    )
