"""Initial weights for training a tower from scratch, as in ImageBind."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from openbind.model.attention import Attention
from openbind.model.heads import AttentionPool, Head
from openbind.model.stems import Patches, Tokens, Windows
from openbind.model.tower import Tower
from openbind.model.trunk import Mlp

# Standard deviations of embeddings and positions of ids, and of positions of windows
# (the authors' release; CLIP's, section 2.4 of arXiv 2103.00020, for ids).
_EMBEDDING_STD, _POSITION_STD = 0.02, 0.01


@torch.no_grad()
def initialize(tower: Tower, generator: torch.Generator | None = None) -> Tower:
    """Draw all weights of a tower, in place.

    Linears of the trunk: Xavier-uniform and zero biases. Learned keys and values: Xavier-normal.
    Stems and the head's projection: PyTorch's defaults. Cls tokens and positions of grids:
    N(0, 1 / width). LayerNorms: 1 and 0.

    Args:
        tower: with memory; if built on the meta device, call `tower.to_empty(device="cpu")` first.
        generator: random generator on the tower's device; None means PyTorch's global one.

    Returns:
        the tower.
    """
    for module in tower.modules():
        if isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, Attention | AttentionPool):
            _draw_attention(module, generator)
        elif isinstance(module, Mlp):
            _draw_xavier(module.fc1, generator)
            _draw_xavier(module.fc2, generator)
        elif isinstance(module, Patches | Tokens | Windows):
            _draw_stem(module, generator)
        elif isinstance(module, Head) and module.proj is not None:
            _draw_default(module.proj.weight, module.proj.bias, generator)
    return tower


def _draw_attention(module: Attention | AttentionPool, generator: torch.Generator | None) -> None:
    _draw_xavier(module.in_proj, generator)
    _draw_xavier(module.out_proj, generator)
    if isinstance(module, AttentionPool):
        nn.init.xavier_uniform_(module.query, generator=generator)
    elif module.bias_k is not None and module.bias_v is not None:
        nn.init.xavier_normal_(module.bias_k, generator=generator)
        nn.init.xavier_normal_(module.bias_v, generator=generator)


def _draw_stem(stem: Patches | Tokens | Windows, generator: torch.Generator | None) -> None:
    unit = stem.positions.shape[-1] ** -0.5
    position_std = unit if isinstance(stem, Patches) else _POSITION_STD
    nn.init.normal_(stem.positions, std=position_std, generator=generator)
    if isinstance(stem, Tokens):
        nn.init.normal_(stem.embedding.weight, std=_EMBEDDING_STD, generator=generator)
        return
    _draw_default(stem.weight, stem.bias if isinstance(stem, Patches) else None, generator)
    if stem.cls_token is not None:
        nn.init.normal_(stem.cls_token, std=unit, generator=generator)


def _draw_xavier(layer: nn.Linear, generator: torch.Generator | None) -> None:
    nn.init.xavier_uniform_(layer.weight, generator=generator)
    nn.init.zeros_(layer.bias)


def _draw_default(weight: Tensor, bias: Tensor | None, generator: torch.Generator | None) -> None:
    """Draw from U(±1/√inputs), PyTorch's default for Linears and convolutions."""
    bound = 1.0 / math.sqrt(weight[0].numel())
    nn.init.uniform_(weight, -bound, bound, generator=generator)
    if bias is not None:
        nn.init.uniform_(bias, -bound, bound, generator=generator)
