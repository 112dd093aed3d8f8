"""Gradient caching gives the gradients of the whole batch, for all micro-batches.

With DDP in two processes: `test_distributed.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from openbind.model.config import HeadConfig, TowerConfig, TrunkConfig, WindowStem
from openbind.model.initial import initialize
from openbind.model.tower import Tower
from openbind.training.gradcache import cached_backward
from openbind.training.losses.info_nce import info_nce

CONFIG = TowerConfig(
    stem=WindowStem(channels=2, kernel=4, steps=20),
    trunk=TrunkConfig(width=24, depth=3, heads=3),
    head=HeadConfig(embed_dim=6),
)


def build(drop_path: float = 0.0, dropout: float = 0.0) -> Tower:
    trunk, head = replace(CONFIG.trunk, drop_path=drop_path), replace(CONFIG.head, dropout=dropout)
    config = replace(CONFIG, trunk=trunk, head=head)
    return initialize(Tower(config), torch.Generator().manual_seed(0)).train()


def series(count: int) -> Tensor:
    return torch.randn(count, 2, 20, generator=torch.Generator().manual_seed(1))


def unit_items(count: int) -> Tensor:
    drawn = torch.randn(count, 6, generator=torch.Generator().manual_seed(2))
    return F.normalize(drawn, dim=1)


def embedder(tower: Tower) -> Callable[[Tensor], Tensor]:
    return lambda x_BCT: F.normalize(tower(x_BCT), dim=1)


def contrast(items_KE: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda query_QE: info_nce(query_QE, items_KE, 7.0)


def gradients(module: nn.Module) -> list[Tensor]:
    found = [p.grad for p in module.parameters() if p.grad is not None]
    module.zero_grad()
    return found


def assert_close(found: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    """Entries agree to 1e-5 of the largest one of all."""
    assert len(found) == len(expected) > 20
    largest = max(float(g.abs().max()) for g in expected)
    assert largest > 1e-3
    for a, b in zip(found, expected, strict=True):
        assert float((a - b).abs().max()) <= 1e-5 * largest


@pytest.mark.parametrize("sizes", [[24], [9, 9, 6], pytest.param([1] * 24, marks=pytest.mark.slow)])
def test_equals_the_large_batch(sizes: list[int]) -> None:
    """Loss and gradients are those of the whole batch, a learned scale's too."""
    tower, x_BCT, items_KE = build(), series(24), unit_items(30)
    scale = torch.tensor(7.0, requires_grad=True)
    target = torch.arange(24)
    expected = info_nce(embedder(tower)(x_BCT), items_KE, scale, target)
    expected.backward()
    plain, plain_scale = gradients(tower), scale.grad
    scale.grad = None

    loss = cached_backward(
        embedder(tower),
        x_BCT.split(sizes),
        lambda query_QE: info_nce(query_QE, items_KE, scale, target),
        module=tower,
    )
    assert not loss.requires_grad
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(scale.grad, plain_scale)
    assert_close(gradients(tower), plain)


@pytest.mark.slow
def test_random_layers_draw_the_same_twice() -> None:
    """With dropout and stochastic depth, both passes have the same random numbers.

    The reference embeds the parts in the same order from the same random state, keeps all graphs,
    and backpropagates the loss of all at once.
    """
    tower, items_KE = build(drop_path=0.5, dropout=0.5), unit_items(24)
    parts = series(24).split(8)
    embed = embedder(tower)
    torch.manual_seed(3)
    contrast(items_KE)(torch.cat([embed(part) for part in parts])).backward()
    after, plain = torch.rand(1), gradients(tower)

    torch.manual_seed(3)
    cached_backward(embed, parts, contrast(items_KE), module=tower)
    # Where the random state is left: behind one pass, as if there had been no second.
    assert torch.equal(torch.rand(1), after)
    assert_close(gradients(tower), plain)

    torch.manual_seed(4)
    cached_backward(embed, parts, contrast(items_KE), module=tower)
    with pytest.raises(AssertionError):
        assert_close(gradients(tower), plain)


@pytest.mark.slow
def test_parts_too_large_for_one_go_draw_the_same_twice() -> None:
    """A micro-batch isn't split as in inference, which would change random numbers."""
    wide = replace(CONFIG.trunk, width=96, mlp_ratio=16.0, drop_path=0.5)
    config = replace(CONFIG, trunk=replace(wide, depth=2))
    tower = initialize(Tower(config), torch.Generator().manual_seed(0)).train()
    x_BCT, items_KE = series(2000), unit_items(2000)
    embed = embedder(tower)
    embeds: list[Tensor] = []

    def watched(x: Tensor) -> Tensor:
        embeds.append(embed(x))
        return embeds[-1]

    parts = x_BCT.split(1000)
    cached_backward(watched, parts, contrast(items_KE), module=tower)
    torch.testing.assert_close(embeds[0], embeds[2])
    torch.testing.assert_close(embeds[1], embeds[3])


def test_gradients_are_added() -> None:
    """Gradients accumulate, as with any backward pass."""
    tower, items_KE, parts = build(), unit_items(8), series(8).split(4)

    def run() -> None:
        cached_backward(embedder(tower), parts, contrast(items_KE), module=tower)

    run()
    once = [g.clone() for g in gradients(tower)]
    run()
    run()
    assert_close(gradients(tower), [2 * g for g in once])


def test_nothing_to_embed_is_refused() -> None:
    """No micro-batch is an error."""
    tower = build()
    with pytest.raises(ValueError, match="at least one"):
        cached_backward(embedder(tower), [], torch.sum, module=tower)
