"""EfficientNet-Lite: a small convolutional image classifier, used as an image tower.

Architecture: EfficientNet (Tan and Le 2019, arXiv:1905.11946, table 1 and section 3.3's compound
scaling) in its Lite form, published with the official TensorFlow code: no squeeze-and-excitation,
ReLU6 for swish, stem, head and the first and last stages' depth not scaled. Batch norm is folded
into the convolutions, since the tower is used for inference only.

The head adds two embeddings of the content: a mixture of one vector per ImageNet class, weighted by
the classifier's softened probabilities (Norouzi et al. 2014, arXiv:1312.5650), and a learned
projection of the features. With `averaged`, features are those of earlier stages too: the last ones
are what tells ImageNet's classes apart, and captions name more than these. With `layout` further
dimensions embed where things are: a projection of an earlier stage's map, averaged in the cells of
a grid. Modalities without spatial information, such as text, are zero there, which doesn't change
their rankings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Annotated

import torch
from torch import nn
from torch.nn import functional as F

from openbind.configs import Range, Width
from openbind.model.class_mixture import ClassMixture, MixtureHead
from openbind.model.convolution import SameConv
from openbind.model.memory import keep_freed_blocks, split_batch

WINDOW, SMOOTHED = 7, 3
"""Cells per side of the two squares of `cells`, chosen on mosaics (docs/localisation.md)."""


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """One stage of inverted bottlenecks; the first block has the stride."""

    repeats: Annotated[int, Range(1, 100)]
    kernel: Annotated[int, Range(1, 31)]
    stride: Annotated[int, Range(1, 31)]
    expand: Annotated[int, Range(1, 100)]
    channels: Width


# Table 1 of the paper scaled to Lite2: width x1.1, rounded to multiples of 8; depth x1.2, rounded
# up, but the first and last stages keep one block.
LITE2_STAGES = (
    StageConfig(repeats=1, kernel=3, stride=1, expand=1, channels=16),
    StageConfig(repeats=3, kernel=3, stride=2, expand=6, channels=24),
    StageConfig(repeats=3, kernel=5, stride=2, expand=6, channels=48),
    StageConfig(repeats=4, kernel=3, stride=2, expand=6, channels=88),
    StageConfig(repeats=4, kernel=5, stride=1, expand=6, channels=120),
    StageConfig(repeats=5, kernel=5, stride=2, expand=6, channels=208),
    StageConfig(repeats=1, kernel=3, stride=1, expand=6, channels=352),
)


@dataclass(frozen=True, kw_only=True)
class LayoutConfig:
    """Dimensions that embed where things are.

    Args:
        stage: of the map, from 1.
        grid: cells per row and column.
        dim: number of dimensions, the last ones of the embedding.
        share: fraction of the embedding's squared length.
    """

    stage: Annotated[int, Range(1, 16)] = 5
    grid: Annotated[int, Range(1, 64)] = 3
    dim: Width = 128
    share: Annotated[float, Range(0, 1)] = 0.5


@dataclass(frozen=True, kw_only=True)
class EfficientNetLiteConfig:
    """Architecture; the defaults are the published EfficientNet-Lite2's.

    `temperature` softens the classifier's probabilities in the mixture; it was chosen on held-out
    images (recipes/starter/README.md). `averaged` are stages, from 1, whose maps are averaged too;
    they follow the `width` last features, which alone the classifier reads. `embed_dim` includes
    the layout's dimensions.
    """

    stem_channels: Width = 32
    stages: Annotated[tuple[StageConfig, ...], Range(1, 16)] = LITE2_STAGES
    width: Width = 1280
    averaged: tuple[Annotated[int, Range(1, 16)], ...] = ()
    num_classes: Width = 1000
    temperature: Annotated[float, Range(1e-3, 1e3)] = 1.5
    embed_dim: Width = 384
    layout: LayoutConfig | None = None


class Bottleneck(nn.Module):
    """Expand channels, filter each, project back; residual if input and output have one shape."""

    def __init__(self, inputs: int, stage: StageConfig, stride: int) -> None:
        super().__init__()
        hidden = inputs * stage.expand
        self.residual = stride == 1 and inputs == stage.channels
        self.expand = SameConv(inputs, hidden, 1) if stage.expand > 1 else None
        self.filter = SameConv(hidden, hidden, stage.kernel, stride, hidden)
        self.project = SameConv(hidden, stage.channels, 1)

    def forward(self, input_BCHW: torch.Tensor) -> torch.Tensor:
        """Return the block's output (B, channels, H / stride, W / stride), rounded up."""
        hidden = input_BCHW
        if self.expand is not None:
            hidden = self.expand(hidden, "relu6")
        hidden = self.filter(hidden, "relu6")
        output: torch.Tensor = self.project(hidden, residual=input_BCHW if self.residual else None)
        return output


class Body(nn.Sequential):
    """Bottlenecks of all stages."""

    def __init__(self, channels: int, stages: Sequence[StageConfig]) -> None:
        blocks, area, peak = [], 1.0, 0.0
        for stage in stages:
            for index in range(stage.repeats):
                peak = max(peak, channels * stage.expand * area)
                blocks.append(Bottleneck(channels, stage, stage.stride if index == 0 else 1))
                channels = stage.channels
                area /= stage.stride**2 if index == 0 else 1
        super().__init__(*blocks)
        self.channels = channels
        self._stages = tuple(stages)
        self._peak = peak

    def parts(self, image_BCHW: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Split images, of twice the sides of this body's inputs, into batches for the stem."""
        height, width = image_BCHW.shape[-2:]
        values = self._peak * math.ceil(height / 2) * math.ceil(width / 2)
        return split_batch(image_BCHW, values * image_BCHW.element_size())

    def read(self, input_BCHW: torch.Tensor, stages: Sequence[int]) -> tuple[torch.Tensor, ...]:
        """Return the outputs of stages, counted from 1, and then of the last."""
        ends = accumulate(stage.repeats for stage in self._stages)
        wanted = {end: number for number, end in enumerate(ends, 1) if number in stages}
        outputs, hidden_BCHW = dict[int, torch.Tensor](), input_BCHW
        for count, block in enumerate(self, 1):
            hidden_BCHW = block(hidden_BCHW)
            if count in wanted:
                outputs[wanted[count]] = hidden_BCHW
        return *(outputs[stage] for stage in stages), hidden_BCHW


def count_averaged(config: EfficientNetLiteConfig) -> int:
    """Return how many features the earlier stages have.

    Raises:
        ValueError: no such stage, or strides after it that `shrink` can't follow.
    """
    for stage in config.averaged:
        if stage > len(config.stages):
            raise ValueError(f"averaged: stage {stage} of {len(config.stages)}")
        if any(later.stride > 2 for later in config.stages[stage:]):
            raise ValueError(f"averaged: a stage after {stage} has a stride of more than 2")
    return sum(config.stages[stage - 1].channels for stage in config.averaged)


def shrink(map_BCHW: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """Halve a map's sides until they are those of a later one, as the strides between do."""
    while map_BCHW.shape[2:] != size:
        map_BCHW = F.avg_pool2d(map_BCHW, 3, 2, 1, count_include_pad=False)
    return map_BCHW


def read_cells(map_BCHW: torch.Tensor, grid: int) -> torch.Tensor:
    """Return cells_BD: a map averaged in grid × grid cells, channel after channel."""
    return F.adaptive_avg_pool2d(map_BCHW, grid).flatten(1)


class EfficientNetLite(nn.Module):
    """Embeds images of any size, or clips of several."""

    config_type = EfficientNetLiteConfig

    def __init__(self, config: EfficientNetLiteConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = SameConv(3, config.stem_channels, 3, 2)
        self.blocks = Body(config.stem_channels, config.stages)
        self.top = SameConv(self.blocks.channels, config.width, 1)
        self.classifier = nn.Linear(config.width, config.num_classes)
        content_dim = config.embed_dim - (config.layout.dim if config.layout else 0)
        self.mixture = nn.Linear(config.num_classes, content_dim, bias=False)
        self.projection = nn.Linear(config.width + count_averaged(config), content_dim)
        self.layout = None
        if config.layout is not None:
            channels = config.stages[config.layout.stage - 1].channels
            self.layout = nn.Linear(channels * config.layout.grid**2, config.layout.dim)
        keep_freed_blocks()

    def read(self, image_BCHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode RGB images scaled to about [-1, 1].

        Returns:
            features_BD, averaged over space, the input of `embed`; cells_BC, the input of `layout`
            (with the defaults of `LayoutConfig` if the config has none).
        """
        layout = self.config.layout or LayoutConfig(stage=len(self.config.stages))
        middle_BCHW, map_BCHW = self._read_maps(image_BCHW, layout.stage)
        return map_BCHW.mean(dim=(2, 3)), read_cells(middle_BCHW, layout.grid)

    def _read_maps(self, image_BCHW: torch.Tensor, stage: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the map of a stage, and that of the features before they are averaged."""
        image_BCHW = image_BCHW.contiguous(memory_format=torch.channels_last)
        stages = (stage, *self.config.averaged)
        parts = [
            self.blocks.read(self.stem(part, "relu6"), stages)
            for part in self.blocks.parts(image_BCHW)
        ]
        middle_BCHW, *earlier, last_BCHW = (torch.cat(maps) for maps in zip(*parts, strict=True))
        top_BCHW = self.top(last_BCHW, "relu6")
        if not earlier:
            return middle_BCHW, top_BCHW
        beside = [shrink(map_BCHW, top_BCHW.shape[2:]) for map_BCHW in earlier]
        return middle_BCHW, torch.cat([top_BCHW, *beside], dim=1)

    def dense_size(self, size: int) -> int:
        """Return the size of images in which `cells` finds the most, given the usual one.

        Nearly twice as large, and odd before each of the five strides: the padding is then the
        same on all sides, and needs no copy.
        """
        return 2**5 * round(1.85 * size / 2**5) + 1

    def cells(self, image_BCHW: torch.Tensor, *, plain: bool = False) -> torch.Tensor:
        """Embed the content of each cell, without the layout's dimensions.

        The projection commutes with the average over space. The mixture doesn't: each cell has
        the mixture of its own classifier's probabilities, and all cells share what the mixture of
        the whole image differs by. So their mean is exactly the image's content.

        Args:
            image_BCHW: of any size; a cell has 32 x 32 pixels and sees some more.
            plain: scale all cells alike, so that their mean is the content part of the image's
                unit vector. Otherwise a cell is the mean of two unit vectors, its own and that of
                the `WINDOW` around it, smoothed: shorter than 1.

        Returns:
            cells_BHWE.
        """
        _, map_BDHW = self._read_maps(image_BCHW, len(self.config.stages))
        own_BHWE = self._split_content(map_BDHW.permute(0, 2, 3, 1).contiguous())
        if not plain:
            around_BDHW = _average(map_BDHW, WINDOW)
            wide_BHWE = self.embed(around_BDHW.permute(0, 2, 3, 1).contiguous())
            sum_BHWE = F.normalize(own_BHWE, dim=-1) + F.normalize(wide_BHWE, dim=-1)
            return _average(sum_BHWE.permute(0, 3, 1, 2) / 2, SMOOTHED).permute(0, 2, 3, 1)
        share = self.config.layout.share if self.config.layout else 0.0
        length_B = own_BHWE.mean(dim=(1, 2)).norm(dim=-1).clamp_min(1e-12)
        plain_BHWE: torch.Tensor = math.sqrt(1 - share) * own_BHWE / length_B[:, None, None, None]
        return plain_BHWE

    def _split_content(self, features_BHWD: torch.Tensor) -> torch.Tensor:
        """Return the content of each cell; the mean is `embed` of the features' mean."""
        beside = self.content_head.beside
        logits_BHWL = beside.classify(features_BHWD)
        own_BHWE = self.mixture(logits_BHWL.softmax(dim=-1))
        whole_BE = self.mixture(logits_BHWL.mean(dim=(1, 2)).softmax(dim=-1))
        rest_BE = whole_BE - own_BHWE.mean(dim=(1, 2))
        split_BHWE: torch.Tensor = own_BHWE + rest_BE[:, None, None]
        split_BHWE += self.projection(features_BHWD)
        return split_BHWE

    def features(self, image_BCHW: torch.Tensor) -> torch.Tensor:
        """Encode RGB images scaled to about [-1, 1]; return features_BD, averaged over space."""
        return self.read(image_BCHW)[0]

    @property
    def content_head(self) -> MixtureHead:
        """The head on averaged features; it shares the tower's layers."""
        beside = ClassMixture(self.classifier, self.mixture, self.config.temperature)
        return MixtureHead(self.projection, beside)

    @property
    def head(self) -> MixtureHead | None:
        """All that comes after `features`; None with a layout, which reads an earlier stage too."""
        return self.content_head if self.layout is None else None

    def embed(self, features_BD: torch.Tensor) -> torch.Tensor:
        """Embed the content: the mixture of class vectors plus the projection of features."""
        content_BE: torch.Tensor = self.content_head(features_BD)
        return content_BE

    def forward(self, image_BCHW: torch.Tensor) -> torch.Tensor:
        """Embed images, or clips (B, C, T, H, W) as the mean of their frames.

        Returns:
            embed_BE; of unit length only with a layout.
        """
        if image_BCHW.ndim == 5:
            frames = image_BCHW.shape[2]
            frames_BCHW = image_BCHW.transpose(1, 2).flatten(0, 1)
            embed_BTE = self(frames_BCHW).unflatten(0, (-1, frames))
            mean_BE: torch.Tensor = F.normalize(embed_BTE, dim=-1).mean(dim=1)
            return mean_BE
        features_BD, cells_BC = self.read(image_BCHW)
        content_BE = self.embed(features_BD)
        if self.layout is None or self.config.layout is None:
            return content_BE
        share = self.config.layout.share
        return join_parts(content_BE, self.layout(cells_BC), share)


def _average(map_BCHW: torch.Tensor, side: int) -> torch.Tensor:
    """Average the square around each cell, of an odd number of cells; less at the edges."""
    around_BCHW: torch.Tensor = F.avg_pool2d(map_BCHW, side, 1, side // 2, count_include_pad=False)
    return around_BCHW


def join_parts(content_BE: torch.Tensor, layout_BE: torch.Tensor, share: float) -> torch.Tensor:
    """Concatenate to unit vectors; the layout has the fraction `share` of the squared length."""
    content_BE = math.sqrt(1 - share) * F.normalize(content_BE, dim=-1)
    return torch.cat([content_BE, math.sqrt(share) * F.normalize(layout_BE, dim=-1)], dim=-1)
