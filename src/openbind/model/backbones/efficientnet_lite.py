"""EfficientNet-Lite: a small convolutional picture classifier, used as a picture tower.

Architecture: EfficientNet (Tan and Le 2019, arXiv:1905.11946, table 1 and section 3.3's compound
scaling) in its Lite form, published with the official TensorFlow code: no squeeze-and-excitation,
ReLU6 for swish, stem, head and the first and last stages' depth not scaled. Batch norm is folded
into the convolutions, since the tower only runs for inference.

The head sums two views of a picture: what the classifier knows (a mixture of one vector per
ImageNet class, weighted by its softened probabilities; Norouzi et al. 2014, arXiv:1312.5650) and a
learned projection of its features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """One stage of inverted bottlenecks; the first block takes the stride."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    channels: int


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
class EfficientNetLiteConfig:
    """Everything that decides a number; the defaults are EfficientNet-Lite2's published ones.

    `temperature` softens the classifier's probabilities in the mixture; it was chosen on held-out
    pictures (recipes/starter/README.md).
    """

    stem_channels: int = 32
    stages: tuple[StageConfig, ...] = LITE2_STAGES
    width: int = 1280
    num_classes: int = 1000
    temperature: float = 1.5
    embed_dim: int = 384


class SameConv(nn.Conv2d):
    """A convolution that pads as TensorFlow's SAME does: ceil(size / stride) outputs.

    Torch's symmetric padding differs where the total padding is odd: the extra row or column
    belongs below or to the right.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> None:
        super().__init__(inputs, outputs, kernel, stride=stride, groups=groups)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return the convolution of `input` (B, C, H, W)."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        rows, columns = (
            max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
            for size in input.shape[-2:]
        )
        if rows % 2 == 0 and columns % 2 == 0:
            padding = (rows // 2, columns // 2)
        else:
            left, top = columns // 2, rows // 2
            input = F.pad(input, (left, columns - left, top, rows - top))
            padding = (0, 0)
        return F.conv2d(input, self.weight, self.bias, self.stride, padding, groups=self.groups)


class Bottleneck(nn.Module):
    """Expand to more channels, filter each one, project back; summed with its input if it fits."""

    def __init__(self, inputs: int, stage: StageConfig, stride: int) -> None:
        super().__init__()
        hidden = inputs * stage.expand
        self.residual = stride == 1 and inputs == stage.channels
        self.expand = SameConv(inputs, hidden, 1, 1, 1) if stage.expand > 1 else None
        self.filter = SameConv(hidden, hidden, stage.kernel, stride, hidden)
        self.project = SameConv(hidden, stage.channels, 1, 1, 1)

    def forward(self, input_BCHW: torch.Tensor) -> torch.Tensor:
        """Return the block's output (B, channels, H / stride, W / stride), rounded up."""
        hidden = input_BCHW
        if self.expand is not None:
            hidden = F.relu6(self.expand(hidden), inplace=True)
        hidden = F.relu6(self.filter(hidden), inplace=True)
        output: torch.Tensor = self.project(hidden)
        return output + input_BCHW if self.residual else output


class EfficientNetLite(nn.Module):
    """A picture of any size to one vector in the joint space."""

    config_type = EfficientNetLiteConfig

    def __init__(self, config: EfficientNetLiteConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = SameConv(3, config.stem_channels, 3, 2, 1)
        blocks, channels = [], config.stem_channels
        for stage in config.stages:
            for index in range(stage.repeats):
                blocks.append(Bottleneck(channels, stage, stage.stride if index == 0 else 1))
                channels = stage.channels
        self.blocks = nn.Sequential(*blocks)
        self.top = SameConv(channels, config.width, 1, 1, 1)
        self.classifier = nn.Linear(config.width, config.num_classes)
        self.mixture = nn.Linear(config.num_classes, config.embed_dim, bias=False)
        self.projection = nn.Linear(config.width, config.embed_dim)
        # The layout that convolutions are fastest in on a CPU, about twice.
        nn.utils.convert_conv2d_weight_memory_format(self, torch.channels_last)

    def features(self, image_BCHW: torch.Tensor) -> torch.Tensor:
        """Encode RGB pictures scaled to about [-1, 1]; return features_BD, averaged over space."""
        hidden = image_BCHW.contiguous(memory_format=torch.channels_last)
        hidden = F.relu6(self.stem(hidden), inplace=True)
        hidden = F.relu6(self.top(self.blocks(hidden)), inplace=True)
        return hidden.mean(dim=(2, 3))

    def embed(self, features_BD: torch.Tensor) -> torch.Tensor:
        """Return embed_BE: the mixture of class vectors plus the projection of the features."""
        logits = self.classifier(features_BD) / self.config.temperature
        embed_BE: torch.Tensor = self.mixture(logits.softmax(dim=-1)) + self.projection(features_BD)
        return embed_BE

    def forward(self, image_BCHW: torch.Tensor) -> torch.Tensor:
        """Return embed_BE, not yet of unit length; see `features` for the input."""
        return self.embed(self.features(image_BCHW))
