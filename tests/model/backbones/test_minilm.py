"""Invariants of MiniLM: the published numbers, and independence of padding."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import openbind
from openbind.model.backbones.minilm import MiniLM, MiniLMConfig
from openbind.model.int8 import put_blank

SHIPPED = Path(openbind.__file__).parent / "assets" / "starter" / "text.safetensors"
GOLDEN = Path(__file__).parent / "golden" / "minilm.safetensors"
TINY = MiniLMConfig(
    vocab_size=20, width=8, num_layers=2, num_heads=2, mlp_width=16, max_tokens=6, embed_dim=5
)


@pytest.fixture(scope="module")
def shipped() -> MiniLM:
    stored = load_file(SHIPPED)
    weights = {k: v.float() if v.is_floating_point() else v for k, v in stored.items()}
    module = MiniLM(MiniLMConfig(embed_dim=len(weights["head.weight"])))
    put_blank(module, weights)  # the table of words has 8 bits
    module.load_state_dict(weights)
    return module.eval()


@torch.inference_mode()
def test_equals_the_original(shipped: MiniLM) -> None:
    """Features are those of the original package, to the precision of the stored weights."""
    golden = load_file(GOLDEN)
    features_BD = shipped.features(golden["ids_BN"])
    assert (features_BD * golden["features_BD"]).sum(dim=1).min() > 0.9999
    torch.testing.assert_close(features_BD, golden["features_BD"], atol=2e-3, rtol=0)


@torch.inference_mode()
def test_padding_changes_nothing(shipped: MiniLM) -> None:
    """A text has the same embedding alone and in a batch with a longer one."""
    ids_BN = load_file(GOLDEN)["ids_BN"]
    alone = shipped(ids_BN[:1, ids_BN[0] != 0])
    torch.testing.assert_close(shipped(ids_BN)[:1], alone, atol=1e-6, rtol=1e-5)


def test_head_is_applied_to_unit_features() -> None:
    """The embedding is the head's projection of features of unit length."""
    torch.manual_seed(0)
    module = MiniLM(TINY).eval()
    ids_BN = torch.tensor([[3, 4, 5, 0], [7, 0, 0, 0]])
    features_BD = module.features(ids_BN)
    torch.testing.assert_close(features_BD.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(module(ids_BN), module.head(features_BD))
    assert module(ids_BN).shape == (2, TINY.embed_dim)


def test_word_order_matters() -> None:
    """The same words in another order have other features."""
    torch.manual_seed(0)
    module = MiniLM(TINY).eval()
    one, other = module.features(torch.tensor([[3, 4, 5], [5, 4, 3]]))
    assert not torch.allclose(one, other, atol=1e-3)


def test_too_long_is_refused() -> None:
    """More tokens than positions raise ValueError with both numbers."""
    with pytest.raises(ValueError, match="7 tokens, at most 6"):
        MiniLM(TINY).features(torch.ones(1, 7, dtype=torch.int64))
