"""Attention pooling equals `torch.nn.MultiheadAttention` with a learned query; heads project."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from openbind.model.config import HeadConfig, TrunkConfig
from openbind.model.heads import AttentionPool, Head

TRUNK = TrunkConfig(width=24, depth=1, heads=3)


@pytest.mark.parametrize("grad", [False, True])
def test_attention_pool(grad: bool) -> None:
    """The query attends to all tokens, and a residual MLP follows."""
    torch.manual_seed(0)
    pool = AttentionPool(TRUNK).eval()
    nn.init.normal_(pool.query)
    attention = nn.MultiheadAttention(24, 3, batch_first=True).eval()
    names = {"in_proj.": "in_proj_", "out_proj.": "out_proj."}
    attention.load_state_dict(
        {
            key.replace(old, new): value
            for key, value in pool.state_dict().items()
            for old, new in names.items()
            if key.startswith(old)
        }
    )
    x_BND = torch.randn(2, 5, 24)
    read, _ = attention(pool.query.expand(2, -1, -1), x_BND, x_BND)
    hidden = F.gelu(F.linear(pool.norm(read), pool.mlp.fc1.weight, pool.mlp.fc1.bias))
    expected = read + F.linear(hidden, pool.mlp.fc2.weight, pool.mlp.fc2.bias)
    with torch.set_grad_enabled(grad):
        torch.testing.assert_close(pool(x_BND), expected[:, 0], rtol=1e-4, atol=1e-5)


def test_projection() -> None:
    """The pooled token is projected, with or without a bias, or returned without a projection."""
    x_BND = torch.randn(2, 1, 24)
    for bias in (False, True):
        head = Head(HeadConfig(embed_dim=5, bias=bias), TRUNK).eval()
        assert (head.proj.bias is not None) == bias
        torch.testing.assert_close(head(head.features(x_BND)), head.proj(x_BND[:, 0]))
    kept = Head(HeadConfig(embed_dim=24, project=False), TRUNK).eval()
    assert torch.equal(kept(kept.features(x_BND)), x_BND[:, 0])


def test_dropout() -> None:
    """Dropout acts in training only, on features."""
    head, x_BD = Head(HeadConfig(embed_dim=5, dropout=0.5), TRUNK), torch.randn(2, 24)
    assert not torch.equal(head(x_BD), head(x_BD))
    head.eval()
    assert torch.equal(head(x_BD), head(x_BD))
