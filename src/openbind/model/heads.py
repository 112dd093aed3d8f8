"""From the trunk's tokens to one vector."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openbind.model.attention import attend
from openbind.model.config import HeadConfig, TrunkConfig
from openbind.model.linear import project
from openbind.model.trunk import Mlp


class AttentionPool(nn.Module):
    """A learned query reads all tokens, then an MLP (SigLIP, arXiv 2303.15343; its MAP head)."""

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
        mixed_BND = attend(q_1ND.expand(len(x_BND), -1, -1), k_BND, v_BND, self.heads)
        read_BND = project(self.out_proj, mixed_BND)
        pooled_BND: Tensor = read_BND + self.mlp(self.norm(read_BND))
        return pooled_BND[:, 0]


class Head(nn.Module):
    """LayerNorm, choice of a token (or attention over all), dropout, projection."""

    def __init__(self, config: HeadConfig, trunk: TrunkConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.norm = nn.LayerNorm(trunk.width, eps=config.norm_eps)
        self.pool = AttentionPool(trunk) if config.pool == "attention" else None
        self.proj = (
            nn.Linear(trunk.width, config.embed_dim, bias=config.bias) if config.project else None
        )

    def forward(self, normed_BND: Tensor) -> Tensor:
        """Embed tokens that went through `self.norm`.

        Args:
            normed_BND: (B, 1, D), the one token chosen; all tokens if the head pools by attention.

        Returns:
            (B, E).
        """
        pooled_BD: Tensor = normed_BND[:, 0] if self.pool is None else self.pool(normed_BND)
        return self.project_tokens(F.dropout(pooled_BD, self.dropout, self.training))

    def project_tokens(self, normed_D: Tensor) -> Tensor:
        """Project vectors (..., D) to (..., E); without a projection they are what they are."""
        if self.proj is None:
            return normed_D
        return project(self.proj, normed_D)
