"""The transformer tower: stem, trunk and head, built from a `TowerConfig`."""

from __future__ import annotations

from typing import Literal, overload

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openbind.errors import InputError
from openbind.model.attention import pick
from openbind.model.config import PatchStem, TokenStem, TowerConfig
from openbind.model.heads import Head
from openbind.model.stems import Patches, Tokens, Windows
from openbind.model.trunk import Trunk, keep_patches

NEAR = 5.0
"""Standard deviation of the neighborhood in patches (NACLIP, arXiv 2404.08181)."""


class Tower(nn.Module):
    """One network of a space.

    Load its weights with `load_state_dict` (with `assign=True` if it was built on the meta
    device), or draw them with `initialize`; those of a new tower are not useful.

    Args:
        config: stem, trunk and head.
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
            x: input of the stem: pixels (B, C, H, W) or (B, C, T, H, W), ids (B, N), or series
                (B, C, T).
            tokens: return the tokens, too.

        Returns:
            embed_BE, neither normalized nor scaled. With `tokens` also tokens_BND after the
            head's LayerNorm, the cls token first if there is one. Unless the head pools by
            attention, `embed_BE` is the head's projection of one of them, and the same projection
            puts every other token into the joint space.

        Raises:
            InputError: the tensor doesn't fit the stem.
        """
        if not tokens:
            embed_BE: Tensor = self.head(self.features(x))
            return embed_BE
        at_B = self._pooled_position(x)
        tokens_BND = self.head.norm(self.trunk(self._embed(x)))
        pooled_BND = tokens_BND if at_B is None else pick(tokens_BND, at_B)
        return self.head(self.head.features(pooled_BND)), tokens_BND

    def dense_size(self, size: int) -> int:
        """Return the size of inputs in which `cells` finds the most, given the usual one."""
        return round(1.5 * size)

    def cells(self, x: Tensor, *, plain: bool = False) -> Tensor:
        """Embed the patches of an input, each as if it alone were pooled.

        Args:
            x: pixels (B, C, H, W) of any size; positions are interpolated.
            plain: leave the last block as it was trained; otherwise see `Trunk.forward_dense`.

        Returns:
            cells_BHWE, unit vectors.

        Raises:
            InputError: the tensor doesn't fit the stem, or the tower has no patches.
        """
        if not isinstance(self.stem, Patches):
            raise InputError(x, "the tower has no patches on a grid")
        tokens_BND, (rows, columns) = self.stem(x), self.stem.grid_of((x.shape[-2], x.shape[-1]))
        first = tokens_BND.shape[1] - rows * columns
        if plain:
            tokens_BND = self.trunk(tokens_BND)
        else:
            near_NN = nearness(rows, columns, tokens_BND)
            tokens_BND = self.trunk.forward_dense(tokens_BND, F.pad(near_NN, (first, 0, first, 0)))
        single_B1D = self.head.norm(tokens_BND[:, first:]).flatten(0, 1)[:, None]
        cells_BE = self.head(self.head.features(single_B1D)).float()
        return F.normalize(cells_BE, dim=-1).view(len(x), rows, columns, -1)

    def features(self, x: Tensor) -> Tensor:
        """Return features_BD, the input of the last Linear: `head(features(x))` embeds x.

        Raises:
            InputError: the tensor doesn't fit the stem.
        """
        at_B = self._pooled_position(x)
        is_cut = self.config.trunk.causal and self.config.head.pool == "eot"
        if is_cut and at_B is not None and not torch.compiler.is_compiling():
            # Tokens after the last end in the batch can't influence any of the ends.
            x = x[:, : int(at_B.max()) + 1]
        return self.head.features(self.head.norm(self.trunk(self._embed(x), at_B)))

    def _embed(self, x: Tensor) -> Tensor:
        """Return the stem's tokens; in training a random subset, with `patch_dropout`."""
        tokens_BND: Tensor = self.stem(x)
        rate = self.config.trunk.patch_dropout
        if not self.training or rate == 0.0:
            return tokens_BND
        stem = self.config.stem
        has_cls = not isinstance(stem, PatchStem) or stem.cls_token
        return keep_patches(tokens_BND, rate, int(has_cls))

    def _pooled_position(self, x: Tensor) -> Tensor | None:
        """Return the position of each sample's pooled token; None for attention pooling."""
        pool = self.config.head.pool
        if pool == "attention":
            return None
        if pool == "eot" and isinstance(self.stem, Tokens):
            return self.stem.end_of(x)
        position = x.shape[1] - 1 if pool == "last" else 0
        return torch.full((x.shape[0],), position, device=x.device)


def nearness(rows: int, columns: int, like: Tensor) -> Tensor:
    """Return near_NN, 1 for a patch itself, less for others the farther they are (`NEAR`)."""
    at_H = torch.arange(rows, device=like.device, dtype=like.dtype)
    at_W = torch.arange(columns, device=like.device, dtype=like.dtype)
    at_N2 = torch.cartesian_prod(at_H, at_W).view(-1, 2)
    squared_NN = (at_N2[:, None] - at_N2).square().sum(dim=-1)
    return torch.exp(-squared_NN / (2 * NEAR**2))


def _build_stem(config: TowerConfig) -> nn.Module:
    stem, width = config.stem, config.trunk.width
    if isinstance(stem, PatchStem):
        return Patches(stem, width)
    if isinstance(stem, TokenStem):
        return Tokens(stem, width)
    return Windows(stem, width)
