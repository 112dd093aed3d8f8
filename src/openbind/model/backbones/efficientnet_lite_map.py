"""EfficientNet-Lite's body on maps of one channel: depth, thermal.

The stem is an image tower's with its three channels summed, so that maps are treated as gray
images. Early stages are sufficient: a Linear embeds the last one's map, averaged in the cells of a
grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import nn
from torch.nn import functional as F

from openbind.configs import Range, Width
from openbind.model.backbones.efficientnet_lite import (
    LITE2_STAGES,
    Body,
    EfficientNetLite,
    StageConfig,
    read_cells,
)
from openbind.model.convolution import SameConv
from openbind.model.memory import keep_freed_blocks


@dataclass(frozen=True, kw_only=True)
class EfficientNetLiteMapConfig:
    """Architecture.

    Args:
        stem_channels, stages: first part of an EfficientNet-Lite.
        grid: cells per row and column.
        embed_dim: dimensions of the joint space.
    """

    stem_channels: Width = 32
    stages: Annotated[tuple[StageConfig, ...], Range(1, 16)] = LITE2_STAGES[:5]
    grid: Annotated[int, Range(1, 64)] = 3
    embed_dim: Width = 384


class EfficientNetLiteMap(nn.Module):
    """Embeds maps of any size."""

    config_type = EfficientNetLiteMapConfig

    def __init__(self, config: EfficientNetLiteMapConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = SameConv(1, config.stem_channels, 3, 2)
        self.blocks = Body(config.stem_channels, config.stages)
        self.head = nn.Linear(self.blocks.channels * config.grid**2, config.embed_dim)
        keep_freed_blocks()

    def features(self, map_BCHW: torch.Tensor) -> torch.Tensor:
        """Encode maps (B, 1, H, W) scaled to about [-1, 1]; return features_BD."""
        return read_cells(self._read_map(map_BCHW), self.config.grid)

    def _read_map(self, map_BCHW: torch.Tensor) -> torch.Tensor:
        map_BCHW = map_BCHW.contiguous(memory_format=torch.channels_last)
        parts = [self.blocks(self.stem(part, "relu6")) for part in self.blocks.parts(map_BCHW)]
        return torch.cat(parts)

    def forward(self, map_BCHW: torch.Tensor) -> torch.Tensor:
        """Return embed_BE, not yet of unit length; see `features` for the input."""
        embed_BE: torch.Tensor = self.head(self.features(map_BCHW))
        return embed_BE

    def dense_size(self, size: int) -> int:
        """Return the size of maps in which `cells` finds the most: the usual one."""
        return size

    def cells(self, map_BCHW: torch.Tensor, *, plain: bool = False) -> torch.Tensor:
        """Split the embedding exactly into what each position of the last stage's map adds.

        The head and the averages in the grid's cells are linear, so that the mean over positions
        is the embedding.

        Args:
            map_BCHW: as for `features`, of any size.
            plain: scale all positions alike, so that their mean is the unit vector; otherwise each
                position has a unit vector.

        Returns:
            cells_BHWE.
        """
        map_BCHW = self._read_map(map_BCHW)
        batch, channels, rows, columns = map_BCHW.shape
        grid, count = self.config.grid, rows * columns
        # How much each position counts in the average of each of the grid's cells.
        each_N1HW = torch.eye(count, device=map_BCHW.device).view(count, 1, rows, columns)
        part_NK = F.adaptive_avg_pool2d(each_N1HW, grid).flatten(1).to(map_BCHW.dtype)
        weight_ECK = self.head.weight.view(-1, channels, grid**2)
        split_BEN = torch.einsum("eck,bcn,nk->ben", weight_ECK, map_BCHW.flatten(2), part_NK)
        cells_BNE = count * split_BEN.mT + self.head.bias
        length_B11 = cells_BNE.mean(dim=1, keepdim=True).norm(dim=-1, keepdim=True)
        unit_BNE = cells_BNE / length_B11 if plain else F.normalize(cells_BNE, dim=-1)
        return unit_BNE.view(batch, rows, columns, -1)


@torch.no_grad()
def copy_body(image: EfficientNetLite, tower: EfficientNetLiteMap) -> None:
    """Copy the weights of an image tower, so that maps are treated as gray images; not the head.

    Args:
        image: its first stages are the tower's.
        tower: is modified.

    Raises:
        RuntimeError: the stages differ.
    """
    tower.stem.weight.copy_(image.stem.weight.sum(dim=1, keepdim=True))
    assert tower.stem.bias is not None
    assert image.stem.bias is not None
    tower.stem.bias.copy_(image.stem.bias)
    known = set(tower.blocks.state_dict())
    kept = {key: value for key, value in image.blocks.state_dict().items() if key in known}
    tower.blocks.load_state_dict(kept)
