"""Attention equals `torch.nn.MultiheadAttention`, including masks and extra keys."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from openbind.model.attention import Attention


def build_pair(width: int, heads: int, bias_kv: bool, causal: bool) -> tuple[Attention, nn.Module]:
    """Ours and PyTorch's with the same random weights."""
    torch.manual_seed(width + heads)
    ours = Attention(width, heads, bias_kv=bias_kv, causal=causal)
    for parameter in ours.parameters():
        nn.init.normal_(parameter, std=0.3)
    theirs = nn.MultiheadAttention(width, heads, add_bias_kv=bias_kv, batch_first=True)
    state = {k.replace("in_proj.", "in_proj_"): v for k, v in ours.state_dict().items()}
    theirs.load_state_dict(state)
    return ours.eval(), theirs.eval()


def run_theirs(theirs: nn.Module, x_BND: Tensor, causal: bool) -> Tensor:
    tokens = x_BND.shape[1]
    mask = torch.full((tokens, tokens), -torch.inf).triu(1) if causal else None
    result: Tensor = theirs(x_BND, x_BND, x_BND, need_weights=False, attn_mask=mask)[0]
    return result


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("bias_kv", [False, True])
@pytest.mark.parametrize(("width", "heads"), [(24, 3), (80, 1), (96, 2)])
def test_multihead_attention(
    width: int, heads: int, bias_kv: bool, causal: bool, grad: bool
) -> None:
    """All tokens, and one selected token of each sample, equal the reference's."""
    ours, theirs = build_pair(width, heads, bias_kv, causal)
    x_BND, at_B = torch.randn(3, 7, width), torch.tensor([0, 6, 3])
    expected = run_theirs(theirs, x_BND, causal)
    with torch.set_grad_enabled(grad):
        torch.testing.assert_close(ours(x_BND), expected, rtol=1e-4, atol=1e-5)
        chosen = ours(x_BND, at_B)
    torch.testing.assert_close(chosen[:, 0], expected[range(3), at_B], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("bias_kv", [False, True])
def test_bfloat16(bias_kv: bool, causal: bool) -> None:
    """Half precision stays close to the reference in float32."""
    ours, theirs = build_pair(64, 4, bias_kv, causal)
    x_BND = torch.randn(2, 33, 64)
    expected = run_theirs(theirs, x_BND, causal)
    with torch.no_grad():
        found = ours.to(torch.bfloat16)(x_BND.bfloat16()).float()
    cosine = torch.cosine_similarity(found.flatten(), expected.flatten(), dim=0)
    assert cosine > 0.998


def test_gradients() -> None:
    """Every weight gets the reference's gradient."""
    ours, theirs = build_pair(24, 3, True, True)
    x_BND = torch.randn(2, 5, 24)
    ours(x_BND).square().sum().backward()
    run_theirs(theirs, x_BND, True).square().sum().backward()
    expected = {k.replace("in_proj_", "in_proj."): p.grad for k, p in theirs.named_parameters()}
    for key, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[key], rtol=1e-4, atol=1e-4)
