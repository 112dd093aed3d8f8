"""MiniLM: a BERT sentence encoder, mean-pooled, then one linear layer.

Architecture: BERT (Devlin et al. 2019, arXiv:1810.04805, section 3 and appendix A.2: post-norm
encoder, exact GELU, learned positions), distilled to 6 layers of width 384 (Wang et al. 2020,
arXiv:2002.10957). Pooling: the mean over the tokens that are not padding, scaled to unit length,
as all-MiniLM-L6-v2 was trained (Reimers and Gurevych 2019, arXiv:1908.10084, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import nn
from torch.nn import functional as F

from openbind.configs import Epsilon, Range, Width
from openbind.model.config import Depth


@dataclass(frozen=True, kw_only=True)
class MiniLMConfig:
    """Architecture; the defaults are all-MiniLM-L6-v2's."""

    vocab_size: Annotated[int, Range(1, 10_000_000)] = 30522
    width: Width = 384
    num_layers: Depth = 6
    num_heads: Width = 12
    mlp_width: Width = 1536
    max_tokens: Width = 512
    norm_eps: Epsilon = 1e-12
    pad_id: Annotated[int, Range(0, 10_000_000)] = 0
    embed_dim: Width = 384


class EncoderLayer(nn.Module):
    """Self-attention and an MLP, each followed by residual connection and norm."""

    def __init__(self, config: MiniLMConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.norm_attention = nn.LayerNorm(config.width, eps=config.norm_eps)
        self.mlp_in = nn.Linear(config.width, config.mlp_width)
        self.mlp_out = nn.Linear(config.mlp_width, config.width)
        self.norm_mlp = nn.LayerNorm(config.width, eps=config.norm_eps)

    def forward(self, tokens_BND: torch.Tensor, attend_B11N: torch.Tensor) -> torch.Tensor:
        """Apply the layer; `attend_B11N` is false for padding."""
        batch, count, width = tokens_BND.shape
        qkv = self.qkv(tokens_BND).view(batch, count, 3, self.num_heads, width // self.num_heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=attend_B11N)
        mixed_BND = mixed.transpose(1, 2).reshape(batch, count, width)
        tokens_BND = self.norm_attention(tokens_BND + self.out(mixed_BND))
        hidden_BND = self.mlp_out(F.gelu(self.mlp_in(tokens_BND)))
        layer_BND: torch.Tensor = self.norm_mlp(tokens_BND + hidden_BND)
        return layer_BND


class MiniLM(nn.Module):
    """Embeds token ids."""

    config_type = MiniLMConfig

    def __init__(self, config: MiniLMConfig) -> None:
        super().__init__()
        self.config = config
        self.word = nn.Embedding(config.vocab_size, config.width)
        # The embedding of BERT's first sentence is a constant, which the conversion adds to the
        # positions; the second one is never used.
        self.position = nn.Embedding(config.max_tokens, config.width)
        self.norm = nn.LayerNorm(config.width, eps=config.norm_eps)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.num_layers))
        self.head = nn.Linear(config.width, config.embed_dim)

    def features(self, ids_BN: torch.Tensor) -> torch.Tensor:
        """Encode padded token ids.

        Args:
            ids_BN: int64 token ids, with `pad_id` after the end only.

        Returns:
            features_BD of unit length.

        Raises:
            ValueError: rows longer than the position table.
        """
        if ids_BN.shape[1] > self.config.max_tokens:
            raise ValueError(f"{ids_BN.shape[1]} tokens, at most {self.config.max_tokens}")
        if not torch.compiler.is_compiling():
            # Drop columns that are padding in all rows.
            ids_BN = ids_BN[:, : int((ids_BN != self.config.pad_id).sum(dim=1).max())]
        attend_BN = ids_BN != self.config.pad_id
        tokens_BND = self.norm(self.word(ids_BN) + self.position.weight[: ids_BN.shape[1]])
        for layer in self.layers:
            tokens_BND = layer(tokens_BND, attend_BN[:, None, None, :])
        weight_BN1 = attend_BN.unsqueeze(-1).to(tokens_BND.dtype)
        pooled_BD = (tokens_BND * weight_BN1).sum(dim=1) / weight_BN1.sum(dim=1)
        return F.normalize(pooled_BD, dim=-1)

    def forward(self, ids_BN: torch.Tensor) -> torch.Tensor:
        """Return embed_BE, not yet of unit length; see `features` for the input."""
        embed_BE: torch.Tensor = self.head(self.features(ids_BN))
        return embed_BE
