"""The transformer between stem and head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from openbind.model.attention import Attention, pick
from openbind.model.config import TrunkConfig
from openbind.model.linear import linear
from openbind.model.memory import keep_freed_blocks, rows_at_once


class Mlp(nn.Module):
    """Two Linears with an activation between them."""

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        self.activation = config.activation
        self.fc1 = nn.Linear(config.width, config.mlp_width)
        self.fc2 = nn.Linear(config.mlp_width, config.width)

    def forward(self, x_BND: Tensor) -> Tensor:
        """Transform each token by itself."""
        hidden = linear(x_BND, self.fc1.weight, self.fc1.bias, self.activation)
        return linear(hidden, self.fc2.weight, self.fc2.bias)


class Block(nn.Module):
    """Pre-norm block: x + attention(norm(x)), then x + mlp(norm(x)).

    Args:
        config: the trunk's.
        drop_path: probability that a sample skips a branch while training.
    """

    def __init__(self, config: TrunkConfig, drop_path: float = 0.0) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.norm_1 = nn.LayerNorm(config.width, eps=config.norm_eps)
        self.attention = Attention(
            config.width, config.heads, bias_kv=config.bias_kv, causal=config.causal
        )
        self.norm_2 = nn.LayerNorm(config.width, eps=config.norm_eps)
        self.mlp = Mlp(config)

    def forward(self, x_BND: Tensor, at_B: Tensor | None = None) -> Tensor:
        """Apply the block.

        Args:
            x_BND: the tokens.
            at_B: the one token of each sample that is wanted; the others are read, not updated.

        Returns:
            (B, N, D), or (B, 1, D) with `at_B`.
        """
        branch = self.attention(self.norm_1(x_BND), at_B)
        kept = x_BND if at_B is None else pick(x_BND, at_B)
        kept = kept + self._drop(branch)
        return kept + self._drop(self.mlp(self.norm_2(kept)))

    def _drop(self, branch_BND: Tensor) -> Tensor:
        return drop_samples(branch_BND, self.drop_path) if self.training else branch_BND


class Trunk(nn.Module):
    """A stack of blocks. There is no norm at its end: the head's does that."""

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        self.config = config
        self.pre_norm = nn.LayerNorm(config.width, eps=config.norm_eps) if config.pre_norm else None
        last = max(config.depth - 1, 1)
        self.blocks = nn.ModuleList(
            Block(config, config.drop_path * index / last) for index in range(config.depth)
        )
        keep_freed_blocks()

    def forward(self, x_BND: Tensor, at_B: Tensor | None = None) -> Tensor:
        """Apply all blocks; without gradients on a CPU to parts of the batch in turn.

        Args:
            x_BND: the tokens.
            at_B: the one token of each sample that is wanted in the end. The last block then
                computes that one only, which changes no number of it.

        Returns:
            (B, N, D), or (B, 1, D) with `at_B`.
        """
        rows = rows_at_once(x_BND, self.config.mlp_width, self.config.heads)
        if len(x_BND) <= rows:
            return self._apply_blocks(x_BND, at_B)
        parts = [slice(start, start + rows) for start in range(0, len(x_BND), rows)]
        return torch.cat(
            [self._apply_blocks(x_BND[p], None if at_B is None else at_B[p]) for p in parts]
        )

    def _apply_blocks(self, x_BND: Tensor, at_B: Tensor | None) -> Tensor:
        x_BND = x_BND if self.pre_norm is None else self.pre_norm(x_BND)
        for block in self.blocks[:-1]:
            x_BND = block(x_BND)
        result: Tensor = self.blocks[-1](x_BND, at_B)
        return result


def drop_samples(x_BND: Tensor, rate: float) -> Tensor:
    """Zero whole samples with a probability, and scale the others so that the mean stays.

    Args:
        x_BND: a residual branch.
        rate: probability in [0, 1) that a sample is dropped.
    """
    if rate == 0.0:
        return x_BND
    kept_B11 = torch.rand(len(x_BND), 1, 1, device=x_BND.device) >= rate
    return x_BND * (kept_B11 / (1.0 - rate)).to(x_BND.dtype)
