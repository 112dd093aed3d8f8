"""Multi-head self-attention, numerically equal to `torch.nn.MultiheadAttention`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openbind.model.linear import project

# Up to this many keys the whole matrix of scores is computed; it grows quadratically.
_MAX_KEYS_FOR_SCORES = 1024


class Attention(nn.Module):
    """Self-attention with packed projections.

    Args:
        width: features of a token.
        heads: attention heads.
        bias_kv: append a learned key and value after the projection, never masked.
        causal: tokens attend to themselves and those before them.
    """

    def __init__(
        self, width: int, heads: int, *, bias_kv: bool = False, causal: bool = False
    ) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.in_proj = nn.Linear(width, 3 * width)  # rows: queries, keys, values
        self.out_proj = nn.Linear(width, width)
        self.bias_k = nn.Parameter(torch.zeros(1, 1, width)) if bias_kv else None
        self.bias_v = nn.Parameter(torch.zeros(1, 1, width)) if bias_kv else None

    def forward(self, x_BND: Tensor, at_B: Tensor | None = None) -> Tensor:
        """Apply self-attention.

        Args:
            x_BND: the tokens.
            at_B: position of the only query of each sample; None means all tokens.

        Returns:
            (B, N, D), or (B, 1, D) with `at_B`.
        """
        width = x_BND.shape[-1]
        if at_B is None:
            q_BND, k_BND, v_BND = project(self.in_proj, x_BND).chunk(3, dim=-1)
        else:
            q_BND = project(self.in_proj, pick(x_BND, at_B), slice(width))
            k_BND, v_BND = project(self.in_proj, x_BND, slice(width, None)).chunk(2, dim=-1)
        if self.bias_k is not None and self.bias_v is not None:
            k_BND, v_BND = _append(k_BND, self.bias_k), _append(v_BND, self.bias_v)
        visible = self._visible(x_BND, at_B) if self.causal else None
        attended_BND = attend(q_BND, k_BND, v_BND, self.heads, visible)
        return project(self.out_proj, attended_BND)

    def mix_similar(self, x_BND: Tensor, near_NN: Tensor) -> Tensor:
        """Average the values of tokens whose keys are alike, without the learned key and value.

        Args:
            x_BND: the tokens.
            near_NN: added to the scores.

        Returns:
            (B, N, D), projected.
        """
        width = x_BND.shape[-1]
        k_BND, v_BND = project(self.in_proj, x_BND, slice(width, None)).chunk(2, dim=-1)
        k_BAND, v_BAND = _split(k_BND, self.heads), _split(v_BND, self.heads)
        scores_BANN = k_BAND @ k_BAND.mT * k_BAND.shape[-1] ** -0.5 + near_NN
        mixed_BAND = scores_BANN.softmax(dim=-1) @ v_BAND
        return project(self.out_proj, mixed_BAND.transpose(1, 2).flatten(2))

    def _visible(self, x_BND: Tensor, at_B: Tensor | None) -> Tensor:
        """Return the mask of the keys of each query: (N, keys), or (B, 1, 1, keys) with `at_B`."""
        positions_N = torch.arange(x_BND.shape[1], device=x_BND.device)
        last = positions_N[:, None] if at_B is None else at_B[:, None, None, None]
        visible = positions_N <= last
        return visible if self.bias_k is None else F.pad(visible, (0, 1), value=True)


def _append(x_BND: Tensor, token_11D: Tensor) -> Tensor:
    """Append a token to each sample, in the samples' precision (under autocast it may differ)."""
    return torch.cat([x_BND, token_11D.to(x_BND.dtype).expand(x_BND.shape[0], -1, -1)], dim=1)


def attend(
    q_BND: Tensor, k_BKD: Tensor, v_BKD: Tensor, heads: int, visible: Tensor | None = None
) -> Tensor:
    """Softmax attention of several heads, with scale (D / heads)^-0.5.

    Args:
        q_BND, k_BKD, v_BKD: queries, keys and values; each head has D / heads of the features.
        heads: number of heads.
        visible: True where a query attends to a key, broadcast to (B, A, N, K); None means all.

    Returns:
        (B, N, D).
    """
    q_BAND, k_BAKD, v_BAKD = (_split(x, heads) for x in (q_BND, k_BKD, v_BKD))
    if _scores_are_faster(q_BAND, k_BAKD.shape[-2]):
        scores = (q_BAND * q_BAND.shape[-1] ** -0.5).contiguous() @ k_BAKD.contiguous().mT
        if visible is not None:
            scores.masked_fill_(~visible, -torch.inf)
        attended_BAND = scores.softmax(dim=-1) @ v_BAKD.contiguous()
    else:
        attended_BAND = F.scaled_dot_product_attention(q_BAND, k_BAKD, v_BAKD, attn_mask=visible)
    attended_BND: Tensor = attended_BAND.transpose(1, 2).flatten(2)
    return attended_BND


def _split(x_BND: Tensor, heads: int) -> Tensor:
    batch, tokens, width = x_BND.shape
    return x_BND.view(batch, tokens, heads, width // heads).transpose(1, 2)


def pick(x_BND: Tensor, at_B: Tensor) -> Tensor:
    """Select one token of each sample: (B, 1, D)."""
    return x_BND[torch.arange(x_BND.shape[0], device=x_BND.device), at_B].unsqueeze(1)


def _scores_are_faster(q_BAND: Tensor, keys: int) -> bool:
    """Return whether two batched products are faster than the fused kernel.

    On CPUs the fused kernel multiplies bfloat16 in small tiles at an eighth of the speed of a
    whole product. Computing all scores of short sequences takes half the time of attention, and a
    third with gradients.
    """
    return (
        q_BAND.device.type == "cpu"
        and q_BAND.dtype == torch.bfloat16
        and keys <= _MAX_KEYS_FOR_SCORES
        and not torch.compiler.is_compiling()
    )
