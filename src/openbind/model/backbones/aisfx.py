"""aiSFX: a convolutional network trained on sound effects, used as an audio tower.

Architecture: the 9-layer CNN of Ma and Lerch 2022 ("Representation learning for the automatic
indexing of sound effects libraries", ISMIR 2022, section 3.3; arXiv:2208.09096), after the DCASE
baseline of Kong et al. 2018 (arXiv:1808.00773): four blocks of two 3x3 convolutions, 2x2 maximum
pooling after the first three, the mean over frequency, then the maximum over time. Batch norm is
folded into the convolutions, since the tower is used for inference only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import nn
from torch.nn import functional as F

from openbind.configs import Range, Width
from openbind.model.class_mixture import MixtureConfig, build_head
from openbind.model.convolution import SameConv
from openbind.model.memory import keep_freed_blocks, split_batch


@dataclass(frozen=True, kw_only=True)
class AiSFXConfig:
    """Architecture; the defaults are the published model's, whose classifiers are dropped.

    Args:
        channels: of each block.
        embed_dim: of the embedding.
        mixture: of class vectors beside the head's projection.
    """

    channels: Annotated[tuple[Width, ...], Range(1, 16)] = (64, 128, 256, 512)
    embed_dim: Width = 384
    mixture: MixtureConfig | None = None


class ConvBlock(nn.Module):
    """Two 3x3 convolutions, each followed by a ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = SameConv(inputs, outputs, 3)
        self.second = SameConv(outputs, outputs, 3)

    def forward(self, input_BCFT: torch.Tensor) -> torch.Tensor:
        """Return (B, outputs, F, T)."""
        output: torch.Tensor = self.second(self.first(input_BCFT, "relu"), "relu")
        return output


class AiSFX(nn.Module):
    """Embeds blocks of log-mel frames."""

    config_type = AiSFXConfig

    def __init__(self, config: AiSFXConfig) -> None:
        super().__init__()
        self.config = config
        inputs = (1, *config.channels[:-1])
        self.blocks = nn.ModuleList(map(ConvBlock, inputs, config.channels))
        self.head = build_head(config.channels[-1], config.embed_dim, config.mixture)
        keep_freed_blocks()

    def features(self, mel_BCFT: torch.Tensor) -> torch.Tensor:
        """Encode one-channel log-mel blocks (96 bins, 100 frames as trained), scaled to [0, 1].

        Returns:
            features_BD, one value per channel of the last block, non-negative.
        """
        row_bytes = (
            self.config.channels[0]
            * mel_BCFT.shape[2]
            * mel_BCFT.shape[3]
            * mel_BCFT.element_size()
        )
        return torch.cat([self._read(part) for part in split_batch(mel_BCFT, row_bytes)])

    def _read(self, mel_BCFT: torch.Tensor) -> torch.Tensor:
        hidden = mel_BCFT.contiguous(memory_format=torch.channels_last)
        for index, block in enumerate(self.blocks):
            hidden = F.max_pool2d(hidden, 2) if index > 0 else hidden
            hidden = block(hidden)
        return hidden.mean(dim=2).amax(dim=2)

    def forward(self, mel_BCFT: torch.Tensor) -> torch.Tensor:
        """Return embed_BE, not yet of unit length; see `features` for the input."""
        embed_BE: torch.Tensor = self.head(self.features(mel_BCFT))
        return embed_BE
