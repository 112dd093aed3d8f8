"""Heads: from the trunk's tokens to one vector."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openbind.model.attention import attend
from openbind.model.config import HeadConfig, TrunkConfig
from openbind.model.linear import project
from openbind.model.trunk import Mlp


class AttentionPool(nn.Module):
    """Attention of a learned query over all tokens, then an MLP (SigLIP's MAP head, 2303.15343)."""

    def __init__(self, trunk: TrunkConfig) -> None:
        super().__init__()
        width = trunk.width
        self.heads = trunk.heads
        self.query = nn.Parameter(torch.zeros(1, 1, width))
        self.in_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=trunk.norm_eps)
        self.mlp = Mlp(trunk)

    def forward(self, x_BND: Tensor) -> Tensor:
        """Pool tokens: (B, N, D) to (B, D)."""
        width = x_BND.shape[-1]
        q_1ND = project(self.in_proj, self.query, slice(width))
        k_BND, v_BND = project(self.in_proj, x_BND, slice(width, None)).chunk(2, dim=-1)
        mixed_BND = attend(q_1ND.expand(x_BND.shape[0], -1, -1), k_BND, v_BND, self.heads)
        attended_BND = project(self.out_proj, mixed_BND)
        pooled_BND: Tensor = attended_BND + self.mlp(self.norm(attended_BND))
        return pooled_BND[:, 0]


class Head(nn.Module):
    """LayerNorm, pooling to one token, dropout, projection."""

    def __init__(self, config: HeadConfig, trunk: TrunkConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.norm = nn.LayerNorm(trunk.width, eps=config.norm_eps)
        self.pool = AttentionPool(trunk) if config.pool == "attention" else None
        self.proj = (
            nn.Linear(trunk.width, config.embed_dim, bias=config.bias) if config.project else None
        )

    def features(self, normed_BND: Tensor) -> Tensor:
        """Pool tokens that went through `self.norm`.

        Args:
            normed_BND: (B, 1, D), the selected token; all tokens if the head pools by attention.

        Returns:
            (B, D), the input of `forward`.
        """
        if self.pool is None:
            return normed_BND[:, 0]
        pooled_BD: Tensor = self.pool(normed_BND)
        return pooled_BD

    def forward(self, features_D: Tensor) -> Tensor:
        """Project features (..., D) to (..., E), with dropout in training."""
        features_D = F.dropout(features_D, self.dropout, self.training)
        return features_D if self.proj is None else project(self.proj, features_D)
