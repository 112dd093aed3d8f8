"""Add layout dimensions to the space, for images, thermal and depth.

Text, audio and IMU are zero there, so that their rankings stay exactly the same. The dimensions are
principal components of the image tower's feature maps.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from tqdm import tqdm

from openbind.modalities.image import ImageSettings, prepare
from openbind.model.backbones.efficientnet_lite import (
    EfficientNetLite,
    LayoutConfig,
)
from openbind.model.backbones.efficientnet_lite_map import (
    EfficientNetLiteMap,
    EfficientNetLiteMapConfig,
    copy_body,
)
from openbind.model.int8 import put_blank
from openbind.space.space import Space

LAYOUT = LayoutConfig(stage=5, grid=3, dim=128, share=0.3)
WHITENING = 0.5
"""Directions are divided by their deviation to this power: 0 keeps it, 1 makes all equal."""
WEIGHTS = {"photographs": 2.0, "rooms": 1.0}
"""Of the kinds of images whose principal components are the layout."""
EVERY_MAP = 10
"""One map of so many is looked at."""
MAP_SHARE = 0.9
"""The layout's share of thermal and depth maps: it finds views that the content doesn't."""


HEAD_OUTPUTS = (
    "head.weight",
    "head.bias",
    "head.proj.weight",
    "head.proj.bias",
    "head.beside.mixture.weight",
)
"""Names of the tensors whose rows are dimensions of the embedding."""


def widen_image_tower(
    tower: EfficientNetLite,
    sources: Mapping[str, Sequence[Path]],
    settings: ImageSettings,
    work: Path,
) -> EfficientNetLite:
    """Add the layout to the image tower.

    Args:
        tower: without one.
        sources: kind of image → files.
        settings: of the preprocessing.
        work: the folder that caches the cells.
    """
    cells, weights = [], []
    for name, paths in sources.items():
        kept = work / f"cells_{name}.safetensors"
        if not kept.exists():
            save_file({"cells_BC": read_images(tower, paths, settings, name)}, kept)
        cells.append(load_file(kept)["cells_BC"])
        weights.append(torch.full((len(paths),), WEIGHTS[name] / len(paths)))
    config = dataclasses.replace(
        tower.config, layout=LAYOUT, embed_dim=tower.config.embed_dim + LAYOUT.dim
    )
    wide = EfficientNetLite(config)
    assert wide.layout is not None
    wide.load_state_dict(tower.state_dict(), strict=False)
    with torch.no_grad():
        weight_KC, bias_K = principal_directions(torch.cat(cells), torch.cat(weights))
        wide.layout.weight.copy_(weight_KC)
        wide.layout.bias.copy_(bias_K)
    return wide.eval()


def read_images(
    tower: EfficientNetLite, paths: Sequence[Path], settings: ImageSettings, name: str
) -> torch.Tensor:
    """Compute the cells of the feature map of files."""
    preprocess, looking = (
        prepare(settings, None),
        EfficientNetLite(
            dataclasses.replace(
                tower.config, layout=LAYOUT, embed_dim=tower.config.embed_dim + LAYOUT.dim
            )
        ),
    )
    looking.load_state_dict(tower.state_dict(), strict=False)
    found = []
    with torch.no_grad():
        for start in tqdm(range(0, len(paths), 16), desc=name, disable=None):
            batch = [preprocess(path).clips[0] for path in paths[start : start + 16]]
            found.append(looking.read(torch.stack(batch))[1])
    return torch.cat(found)


def principal_directions(
    cells_BC: torch.Tensor, weight_B: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weight and bias of the projection onto principal components, partly whitened."""
    cells_BC, weight_B = cells_BC.double(), (weight_B / weight_B.sum()).double()
    mean_C = weight_B @ cells_BC
    centered_BC = cells_BC - mean_C
    variance_C, direction_CC = torch.linalg.eigh((centered_BC * weight_B[:, None]).T @ centered_BC)
    largest = variance_C.argsort(descending=True)[: LAYOUT.dim]
    weight_KC = direction_CC[:, largest].T / variance_C[largest, None].sqrt() ** WHITENING
    return weight_KC.float(), -(weight_KC @ mean_C).float()


def add_zeros(tower: Any) -> Any:
    """Extend the output of a tower without layout by zeros.

    Args:
        tower: of the narrow space; it has a `head`.
    """
    state = dict(tower.state_dict())
    for name in HEAD_OUTPUTS:
        if name in state:
            zeros = state[name].new_zeros(LAYOUT.dim, *state[name].shape[1:])
            state[name] = torch.cat([state[name], zeros])
    wide = type(tower)(_widen_config(tower.config))
    put_blank(wide, state)
    wide.load_state_dict(state)
    return wide.eval()


def _widen_config(config: Any) -> Any:
    if hasattr(config, "embed_dim"):
        return dataclasses.replace(config, embed_dim=config.embed_dim + LAYOUT.dim)
    head = dataclasses.replace(config.head, embed_dim=config.head.embed_dim + LAYOUT.dim)
    return dataclasses.replace(config, head=head)


def start_map_tower(image: EfficientNetLite) -> EfficientNetLiteMap:
    """Build a tower for one-channel maps, read as gray images, with a zero head."""
    config = EfficientNetLiteMapConfig(
        stages=image.config.stages[: LAYOUT.stage],
        grid=LAYOUT.grid,
        embed_dim=image.config.embed_dim,
    )
    tower = EfficientNetLiteMap(config)
    copy_body(image, tower)
    nn.init.zeros_(tower.head.weight)
    nn.init.zeros_(tower.head.bias)
    return tower.eval()


@torch.no_grad()
def copy_layout(image: EfficientNetLite, tower: EfficientNetLiteMap) -> None:
    """Give a map tower the layout that the image tower would see in the map, drawn in gray."""
    assert image.layout is not None
    tower.head.weight[-LAYOUT.dim :] = image.layout.weight
    tower.head.bias[-LAYOUT.dim :] = image.layout.bias


@torch.no_grad()
def weigh_layout(
    space: Space, modality: str, paths: Sequence[Path], share: float = MAP_SHARE
) -> None:
    """Scale the layout of a map tower to its share of the squared length of usual maps.

    How maps are named is the same with any share.

    Args:
        space: its tower is modified.
        modality: of the maps.
        paths: of usual maps.
        share: of the layout.
    """
    tower = space.towers[modality]
    assert isinstance(tower, EfficientNetLiteMap)
    scale_layout(tower, tower.features(space.preprocess(modality, paths)), share)


@torch.no_grad()
def scale_layout(tower: EfficientNetLiteMap, features_ND: torch.Tensor, share: float) -> None:
    """Do what `weigh_layout` does, given the features of the maps."""
    embed_NE = tower.head(features_ND)
    what_dim = embed_NE.shape[1] - LAYOUT.dim
    what, where = (part.norm(dim=1).mean() for part in embed_NE.split([what_dim, LAYOUT.dim], 1))
    scale = what / where * math.sqrt(share / (1 - share))
    tower.head.weight[what_dim:] *= scale
    tower.head.bias[what_dim:] *= scale


def same_logits_scale(scale: float) -> float:
    """Return the logit scale of images that keeps their logits against text unchanged."""
    return scale / math.sqrt(1 - LAYOUT.share)
