"""Transformer blocks between stem and head."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from openbind.model.attention import Attention, pick
from openbind.model.config import TrunkConfig
from openbind.model.linear import project
from openbind.model.memory import keep_freed_blocks, rows_at_once

Branch = Callable[[Tensor, Tensor | None], Tensor]

_MIN_SKIP_RATE = 0.2
"""Rate from which it is faster to compute a branch only for the samples that take it: gathering
them and their gradients costs as much as a tenth of a branch."""


class Mlp(nn.Module):
    """Two Linears with an activation between them."""

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        self.activation = config.activation
        self.fc1 = nn.Linear(config.width, config.mlp_width)
        self.fc2 = nn.Linear(config.mlp_width, config.width)

    def forward(self, x_BND: Tensor) -> Tensor:
        """Transform each token separately."""
        return project(self.fc2, project(self.fc1, x_BND, activation=self.activation))


class Block(nn.Module):
    """Pre-norm block: x + attention(norm(x)), then x + mlp(norm(x)).

    Args:
        config: the trunk's.
        drop_path: probability that a sample skips a branch in training.
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
            at_B: position of the only token of each sample to update; others are only attended to.

        Returns:
            (B, N, D), or (B, 1, D) with `at_B`.
        """
        kept_BND = x_BND if at_B is None else pick(x_BND, at_B)
        kept_BND = self._add(kept_BND, x_BND, at_B, self._attend)
        return self._add(kept_BND, kept_BND, None, self._transform)

    def _attend(self, x_BND: Tensor, at_B: Tensor | None) -> Tensor:
        result: Tensor = self.attention(self.norm_1(x_BND), at_B)
        return result

    def _transform(self, x_BND: Tensor, at_B: Tensor | None) -> Tensor:
        result: Tensor = self.mlp(self.norm_2(x_BND))
        return result

    def _add(self, kept_BND: Tensor, x_BND: Tensor, at_B: Tensor | None, branch: Branch) -> Tensor:
        """Add a branch; in training to random samples, scaled to keep the mean."""
        if not self.training or self.drop_path == 0.0:
            return kept_BND + branch(x_BND, at_B)
        taken_B = torch.rand(len(x_BND), device=x_BND.device) >= self.drop_path
        scale = 1.0 / (1.0 - self.drop_path)
        if self.drop_path < _MIN_SKIP_RATE:
            added_BND = branch(x_BND, at_B)
            return kept_BND + added_BND * (taken_B * scale).to(added_BND.dtype)[:, None, None]
        rows = taken_B.nonzero()[:, 0]
        added_BND = branch(x_BND.index_select(0, rows), None if at_B is None else at_B[rows])
        return kept_BND.index_add(0, rows, added_BND.to(kept_BND.dtype), alpha=scale)


class Trunk(nn.Module):
    """A stack of blocks; the norm at its end belongs to the head.

    Attributes:
        recompute: recompute the blocks' activations in the backward pass (activation
            checkpointing, arXiv 1604.06174): a third more time, far less memory.
    """

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        self.config = config
        self.pre_norm = nn.LayerNorm(config.width, eps=config.norm_eps) if config.pre_norm else None
        last = max(config.depth - 1, 1)
        self.blocks = nn.ModuleList(
            Block(config, config.drop_path * index / last) for index in range(config.depth)
        )
        self.recompute = False
        keep_freed_blocks()

    def forward(self, x_BND: Tensor, at_B: Tensor | None = None) -> Tensor:
        """Apply all blocks; on a CPU without gradients to parts of the batch in turn.

        Args:
            x_BND: the tokens.
            at_B: position of the only token of each sample to return; the last block computes only
                that one, with the same numbers.

        Returns:
            (B, N, D), or (B, 1, D) with `at_B`.
        """
        rows = rows_at_once(x_BND, self.config.mlp_width, self.config.heads)
        if x_BND.shape[0] <= rows:
            return self._apply_blocks(x_BND, at_B)
        parts = [slice(start, start + rows) for start in range(0, len(x_BND), rows)]
        return torch.cat(
            [self._apply_blocks(x_BND[p], None if at_B is None else at_B[p]) for p in parts]
        )

    def forward_dense(self, x_BND: Tensor, near_NN: Tensor) -> Tensor:
        """Apply all blocks, the last one so that tokens keep what is at their place.

        The last block averages values by the likeness of keys and by nearness, without its
        residual and MLP, which carry what the whole input shows (NACLIP, arXiv 2404.08181).

        Args:
            x_BND: the tokens.
            near_NN: added to the scores of the last block's attention.
        """
        x_BND = x_BND if self.pre_norm is None else self.pre_norm(x_BND)
        for block in self.blocks[:-1]:
            x_BND = block(x_BND)
        last = self.blocks[-1]
        assert isinstance(last, Block)
        return last.attention.mix_similar(last.norm_1(x_BND), near_NN)

    def _apply_blocks(self, x_BND: Tensor, at_B: Tensor | None) -> Tensor:
        x_BND = x_BND if self.pre_norm is None else self.pre_norm(x_BND)
        for block in self.blocks[:-1]:
            x_BND = self._run(block, x_BND, None)
        return self._run(self.blocks[-1], x_BND, at_B)

    def _run(self, block: nn.Module, x_BND: Tensor, at_B: Tensor | None) -> Tensor:
        result: Tensor
        if self.recompute and torch.is_grad_enabled():
            result = checkpoint(block, x_BND, at_B, use_reentrant=False, preserve_rng_state=True)
        else:
            result = block(x_BND, at_B)
        return result


def keep_patches(x_BND: Tensor, rate: float, first: int) -> Tensor:
    """Drop random patches, the same number of each sample.

    Args:
        x_BND: tokens with positions.
        rate: fraction of the patches to drop, in [0, 1); at least one is kept.
        first: number of tokens before the patches, which are kept: 1 with a cls token, else 0.
    """
    batch, tokens, width = x_BND.shape
    count = max(round((tokens - first) * (1.0 - rate)), 1)
    kept_BN = torch.rand(batch, tokens - first, device=x_BND.device).topk(count).indices + first
    first_BN = torch.arange(first, device=x_BND.device).expand(batch, -1)
    starts_B1 = tokens * torch.arange(batch, device=x_BND.device)[:, None]
    indices = torch.cat([first_BN, kept_BN], dim=1) + starts_B1
    return x_BND.flatten(0, 1).index_select(0, indices.flatten()).view(batch, -1, width)
