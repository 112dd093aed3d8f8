"""Shortcuts, pooling, batching and half precision change no embedding beyond rounding."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from openbind.errors import InputError
from openbind.model import TOWERS
from openbind.model.config import (
    HeadConfig,
    PatchStem,
    Pool,
    TokenStem,
    TowerConfig,
    TrunkConfig,
    WindowStem,
)
from openbind.model.initial import initialize
from openbind.model.tower import Tower

PATCHES = PatchStem(channels=1, kernel=(4, 4), stride=(3, 3), size=(13, 16), norm=True)


def make_config(
    stem: PatchStem | TokenStem | WindowStem, pool: Pool = "cls", causal: bool = False
) -> TowerConfig:
    trunk = TrunkConfig(width=24, depth=2, heads=3, bias_kv=not causal, causal=causal)
    return TowerConfig(stem=stem, trunk=trunk, head=HeadConfig(embed_dim=6, pool=pool))


CASES: dict[str, tuple[TowerConfig, Tensor]] = {
    "grid": (make_config(PATCHES), torch.randn(3, 1, 13, 16)),
    "grid, attention": (make_config(PATCHES, "attention"), torch.randn(3, 1, 10, 19)),
    "grid, no cls": (
        make_config(replace(PATCHES, cls_token=False), "attention"),
        torch.randn(3, 1, 13, 16),
    ),
    "ids": (
        make_config(TokenStem(vocabulary=20, context=9), "eot", causal=True),
        torch.tensor([[1, 19, 0, 0, 0], [1, 4, 7, 19, 0], [1, 2, 19, 0, 0]]),
    ),
    "ids, last": (
        make_config(TokenStem(vocabulary=20, context=9), "last"),
        torch.randint(0, 20, (3, 9)),
    ),
    "series": (make_config(WindowStem(channels=2, kernel=4, steps=20)), torch.randn(3, 2, 28)),
}


def build(name: str) -> tuple[Tower, Tensor]:
    config, x = CASES[name]
    return initialize(Tower(config), torch.Generator().manual_seed(1)).eval(), x


@pytest.mark.parametrize("name", CASES)
def test_batch_is_one_by_one(name: str) -> None:
    """Samples have the same embeddings in a batch and alone, and the input isn't modified."""
    tower, x = build(name)
    before = x.clone()
    with torch.no_grad():
        embed_BE = tower(x)
        alone_BE = torch.cat([tower(sample[None]) for sample in x])
    assert embed_BE.shape == (3, 6)
    torch.testing.assert_close(embed_BE, alone_BE, rtol=1e-4, atol=1e-5)
    assert torch.equal(x, before)


@pytest.mark.parametrize("name", CASES)
def test_tokens(name: str) -> None:
    """With tokens embeddings are the same, and the head projects any token."""
    tower, x = build(name)
    with torch.no_grad():
        embed_BE, tokens_BND = tower(x, tokens=True)
        torch.testing.assert_close(embed_BE, tower(x), rtol=1e-4, atol=1e-5)
        assert tokens_BND.shape == tower.stem(x).shape
    if tower.config.head.pool != "attention":
        places = {"cls": [0, 0, 0], "eot": [1, 3, 2], "last": [8, 8, 8]}[tower.config.head.pool]
        chosen_BD = tokens_BND[range(3), places]
        torch.testing.assert_close(tower.head.proj(chosen_BD), embed_BE, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_features(name: str) -> None:
    """The head of the features is the embedding, bit for bit."""
    tower, x = build(name)
    with torch.no_grad():
        features_BD = tower.features(x)
        assert features_BD.shape == (3, 24)
        assert torch.equal(tower.head(features_BD), tower(x))
        torch.testing.assert_close(tower.head.proj(features_BD), tower(x))


@pytest.mark.parametrize("name", TOWERS.names())
def test_every_tower_has_features(name: str) -> None:
    """Training of heads relies on them; a reference is never trained."""
    tower = TOWERS.get(name)
    assert getattr(tower, "is_reference", False) or callable(tower.features)


@pytest.mark.parametrize("name", CASES)
def test_bfloat16(name: str) -> None:
    """In half precision the direction is nearly the same."""
    tower, x = build(name)
    with torch.no_grad():
        exact_BE = tower(x)
        tower.to(torch.bfloat16)
        half_BE = tower(x.bfloat16() if x.is_floating_point() else x)
    assert half_BE.dtype == torch.bfloat16
    assert torch.cosine_similarity(half_BE.float(), exact_BE).min() > 0.998


@pytest.mark.parametrize("name", CASES)
def test_gradients(name: str) -> None:
    """In training the embedding is the same, and every weight has a gradient."""
    tower, x = build(name)
    embed_BE = tower(x)
    with torch.no_grad():
        torch.testing.assert_close(tower(x), embed_BE, rtol=1e-4, atol=1e-5)
    embed_BE.square().sum().backward()
    for key, parameter in tower.named_parameters():
        assert parameter.grad is not None, key


@pytest.mark.parametrize("name", CASES)
def test_meta_device(name: str) -> None:
    """A tower built on the meta device takes the weights of a file without a copy."""
    tower, x = build(name)
    with torch.device("meta"):
        empty = Tower(tower.config)
    state = tower.state_dict()
    empty.load_state_dict(state, assign=True)
    with torch.no_grad():
        assert torch.equal(empty.eval()(x), tower(x))
    assert empty.head.norm.weight.data_ptr() == state["head.norm.weight"].data_ptr()


def test_ids_after_the_end_are_ignored() -> None:
    """Neither their values nor their number change an embedding."""
    tower, ids_BN = build("ids")
    noisy_BN = torch.tensor([[1, 19, 5], [1, 19, 0]])
    with torch.no_grad():
        alone = tower(noisy_BN[:1, :2])
        torch.testing.assert_close(tower(noisy_BN), alone.expand(2, -1), rtol=1e-4, atol=1e-5)
        padded = torch.nn.functional.pad(ids_BN, (0, 4))
        torch.testing.assert_close(tower(padded), tower(ids_BN), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["grid", "grid, no cls", "series"])
def test_patch_dropout(name: str) -> None:
    """In training a fraction of the patches goes through the blocks; in evaluation all do."""
    whole, x = build(name)
    trunk = replace(whole.config.trunk, patch_dropout=0.75)
    tower = Tower(replace(whole.config, trunk=trunk))
    tower.load_state_dict(whole.state_dict())
    with torch.no_grad():
        assert torch.equal(tower.eval()(x), whole(x))
        _, kept_BND = tower.train()(x, tokens=True)
        tokens, first = whole.stem(x).shape[1], int(name != "grid, no cls")
        assert kept_BND.shape[1] == first + round((tokens - first) / 4)
    tower(x).sum().backward()
    assert all(p.grad is not None for p in tower.parameters())


def test_bad_input() -> None:
    """Tensors that don't fit the stem are refused, whichever the head."""
    for name, wrong in {"ids": torch.zeros(2, 10).long(), "grid": torch.zeros(2, 13, 16)}.items():
        with pytest.raises(InputError):
            build(name)[0](wrong)
