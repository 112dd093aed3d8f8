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

import numpy as np
import torch
from cells import write_lines
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from openbind.modalities.image import ImageSettings, prepare
from openbind.model.backbones.efficientnet_lite import (
    EfficientNetLite,
    LayoutConfig,
    join_parts,
)
from openbind.model.backbones.efficientnet_lite_map import (
    EfficientNetLiteMap,
    EfficientNetLiteMapConfig,
    copy_body,
)

LAYOUT = LayoutConfig(stage=5, grid=3, dim=128, share=0.3)
WHITENING = 0.5
"""Directions are divided by their deviation to this power: 0 keeps it, 1 makes all equal."""
EVERY_DRAWING = 3
"""One drawing of so many is looked at."""
OTHERS = Path("images/wide.jsonl")
VECTORS = Path("images/wide.npy")


def widen_image_tower(
    tower: EfficientNetLite, sources: Mapping[str, Sequence[Path]], settings: ImageSettings
) -> tuple[EfficientNetLite, torch.Tensor]:
    """Add the layout to the image tower.

    Args:
        tower: without one.
        sources: kind of image → files; all kinds have the same weight.
        settings: of the preprocessing.

    Returns:
        the wider tower, and unit embeddings of all the images.
    """
    shown, cells, weights = [], [], []
    for name, paths in sources.items():
        features_BD, cells_BC = read_images(tower, paths, settings, name)
        with torch.no_grad():
            shown.append(tower.embed(features_BD))
        cells.append(cells_BC)
        weights.append(torch.full((len(paths),), 1 / len(paths)))
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
        vectors_NE = join_parts(torch.cat(shown), wide.layout(torch.cat(cells)), LAYOUT.share)
    return wide.eval(), vectors_NE


def embed_images(
    tower: EfficientNetLite, paths: Sequence[Path], settings: ImageSettings
) -> torch.Tensor:
    """Compute unit embeddings (N, E) of files.

    Args:
        tower: with a layout.
        paths: of images.
        settings: of the preprocessing.
    """
    preprocess = prepare(settings, None)
    found = []
    with torch.no_grad():
        for start in tqdm(range(0, len(paths), 16), desc="images", disable=None):
            batch = [preprocess(path).clips[0] for path in paths[start : start + 16]]
            found.append(F.normalize(tower(torch.stack(batch)), dim=1))
    return torch.cat(found)


def read_images(
    tower: EfficientNetLite, paths: Sequence[Path], settings: ImageSettings, name: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute features_BD and the cells of the feature map of files."""
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
            found.append(looking.read(torch.stack(batch)))
    features, cells = zip(*found, strict=True)
    return torch.cat(features), torch.cat(cells)


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


def add_zeros(tower: Any, layer: str) -> Any:
    """Extend the output of a tower without layout by zeros.

    Args:
        tower: of the narrow space.
        layer: name of its last Linear, in its state dict.
    """
    state = dict(tower.state_dict())
    for name in (f"{layer}.weight", f"{layer}.bias"):
        if name in state:
            zeros = state[name].new_zeros(LAYOUT.dim, *state[name].shape[1:])
            state[name] = torch.cat([state[name], zeros])
    wide = type(tower)(_widen_config(tower.config))
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


def write_others(work: Path, vectors_NE: torch.Tensor) -> None:
    """Write image vectors of the wide space for the recipes' `extra_negatives`."""
    (work / VECTORS).parent.mkdir(parents=True, exist_ok=True)
    np.save(work / VECTORS, vectors_NE.numpy())
    write_lines(work / OTHERS, ({"image.vector": f"{VECTORS}#{n}"} for n in range(len(vectors_NE))))


def same_logits_scale(scale: float) -> float:
    """Return the logit scale of images that keeps their logits against text unchanged."""
    return scale / math.sqrt(1 - LAYOUT.share)
