"""Tower: a tensor becomes a vector. Stem, trunk and head, built from a `TowerConfig`."""

from __future__ import annotations

from typing import Literal, overload

import torch
from torch import Tensor, nn

from openbind.model.attention import pick
from openbind.model.config import PatchStem, TokenStem, TowerConfig
from openbind.model.heads import Head
from openbind.model.stems import Patches, Tokens, Windows
from openbind.model.trunk import Trunk, keep_patches


class Tower(nn.Module):
    """One network of a space.

    Its weights are loaded (`load_state_dict`, with `assign=True` if it was built on the meta
    device) or drawn by `initialize`; a fresh tower has no useful ones.

    Args:
        config: what it is made of.
    """

    config_type = TowerConfig

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = _build_stem(config)
        self.trunk = Trunk(config.trunk)
        self.head = Head(config.head, config.trunk)

    @overload
    def forward(self, x: Tensor, tokens: Literal[False] = False) -> Tensor: ...

    @overload
    def forward(self, x: Tensor, tokens: Literal[True]) -> tuple[Tensor, Tensor]: ...

    def forward(self, x: Tensor, tokens: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """Embed a batch.

        Args:
            x: what the stem takes: (B, C, H, W) or (B, C, T, H, W) pixels, (B, N) ids, or
                (B, C, T) series.
            tokens: give the tokens too.

        Returns:
            embed_BE, neither normalized nor scaled. With `tokens` also tokens_BND after the
            head's LayerNorm, the cls token first if there is one. Where the head projects one
            chosen token, `embed_BE = tokens_BND[b, chosen] @ head.proj.weight.T`, and the same
            product puts every other token into the joint space.

        Raises:
            InputError: the tensor doesn't fit the stem.
        """
        at_B = self._chosen(x)
        if tokens:
            tokens_BND = self.head.norm(self.trunk(self._cut(x)))
            return self.head(tokens_BND if at_B is None else pick(tokens_BND, at_B)), tokens_BND
        if self.config.trunk.causal and self.config.head.pool == "eot" and at_B is not None:
            # No token after the last end in the batch can reach any of the ends.
            x = x[:, : int(at_B.max()) + 1]
        embed_BE: Tensor = self.head(self.head.norm(self.trunk(self._cut(x), at_B)))
        return embed_BE

    def _cut(self, x: Tensor) -> Tensor:
        """The stem's tokens; while training only a share of the patches, if so configured."""
        tokens_BND: Tensor = self.stem(x)
        rate = self.config.trunk.patch_dropout
        if not self.training or rate == 0.0:
            return tokens_BND
        stem = self.config.stem
        has_cls = not isinstance(stem, PatchStem) or stem.cls_token
        return keep_patches(tokens_BND, rate, int(has_cls))

    def _chosen(self, x: Tensor) -> Tensor | None:
        """The place of the token that the head takes of each sample; None if it takes all."""
        pool = self.config.head.pool
        if pool == "attention":
            return None
        if pool == "eot" and isinstance(self.stem, Tokens):
            return self.stem.end_of(x)
        place = x.shape[1] - 1 if pool == "last" else 0
        return torch.full((len(x),), place, device=x.device)


def _build_stem(config: TowerConfig) -> nn.Module:
    stem, width = config.stem, config.trunk.width
    if isinstance(stem, PatchStem):
        return Patches(stem, width)
    if isinstance(stem, TokenStem):
        return Tokens(stem, width)
    return Windows(stem, width)
