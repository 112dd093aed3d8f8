"""The trunk: one selected token, and parts of a batch, equal all tokens together.

Branches and patches are dropped in training as configured, and recomputed activations have
bit-equal gradients.
"""

from __future__ import annotations

import pytest
import torch

from openbind.model import memory
from openbind.model.config import TrunkConfig
from openbind.model.trunk import Block, Trunk, keep_patches


def build(**more: object) -> Trunk:
    torch.manual_seed(0)
    return Trunk(TrunkConfig(width=24, depth=3, heads=3, **more)).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("pre_norm", [False, True])
def test_chosen_token(pre_norm: bool, causal: bool, grad: bool) -> None:
    """Computing one token only in the last block doesn't change its numbers."""
    trunk = build(causal=causal, pre_norm=pre_norm, bias_kv=True)
    x_BND, at_B = torch.randn(4, 6, 24), torch.tensor([5, 0, 2, 3])
    with torch.set_grad_enabled(grad):
        torch.testing.assert_close(trunk(x_BND, at_B)[:, 0], trunk(x_BND)[range(4), at_B])


@pytest.mark.parametrize("chosen", [False, True])
def test_parts_of_a_batch(monkeypatch: pytest.MonkeyPatch, chosen: bool) -> None:
    """A batch in parts equals the whole batch, in order."""
    trunk = build()
    x_BND, at_B = torch.randn(5, 6, 24), torch.arange(5) if chosen else None
    with torch.no_grad():
        whole = trunk(x_BND, at_B)
        monkeypatch.setattr(memory, "LARGEST_BLOCK", 2 * 6 * 96 * 4)
        assert memory.rows_at_once(x_BND, 96, 3) == 2
        torch.testing.assert_close(trunk(x_BND, at_B), whole)


def test_drop_path_rises() -> None:
    """The probability of skipping branches increases linearly from 0 to the configured one."""
    assert [block.drop_path for block in build(drop_path=0.5).blocks] == [0.0, 0.25, 0.5]
    single = Trunk(TrunkConfig(width=8, depth=1, heads=1, drop_path=0.5))
    assert single.blocks[0].drop_path == 0.0


def test_drop_path_only_while_training() -> None:
    """Evaluation is deterministic; training isn't."""
    trunk, x_BND = build(drop_path=0.9), torch.randn(8, 4, 24)
    assert torch.equal(trunk(x_BND), trunk(x_BND))
    trunk.train()
    assert not torch.equal(trunk(x_BND), trunk(x_BND))


@pytest.mark.parametrize("chosen", [False, True])
def test_dropped_branches(chosen: bool) -> None:
    """A sample takes a branch, scaled by 1 / (1 - rate), or skips it; gradients are those of that.

    The branches are computed for all samples here, and masked.
    """
    torch.manual_seed(0)
    config = TrunkConfig(width=12, depth=1, heads=2)
    block, at_B = Block(config, drop_path=0.5).train(), torch.arange(9) % 4 if chosen else None
    x_BND = torch.randn(9, 4, 12)
    torch.manual_seed(1)
    found = block(x_BND, at_B)
    found.square().sum().backward()
    gradients = {name: p.grad for name, p in block.named_parameters()}
    block.zero_grad()
    torch.manual_seed(1)
    first_B11, second_B11 = ((torch.rand(9) >= 0.5)[:, None, None] / 0.5 for _ in range(2))
    assert 0 < first_B11.count_nonzero() < 9
    kept = x_BND if at_B is None else x_BND[torch.arange(9), at_B, None]
    kept = kept + first_B11 * block.attention(block.norm_1(x_BND), at_B)
    expected = kept + second_B11 * block.mlp(block.norm_2(kept))
    torch.testing.assert_close(found, expected)
    expected.square().sum().backward()
    for name, parameter in block.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-4, atol=1e-5)


def test_all_branches_dropped() -> None:
    """Weights of a branch without samples have gradients of 0, which other processes expect."""
    block = Block(TrunkConfig(width=12, depth=1, heads=2, bias_kv=True), drop_path=0.99999).train()
    x_BND = torch.randn(2, 4, 12)
    found = block(x_BND)
    assert torch.equal(found, x_BND)
    found.sum().backward()
    for name, parameter in block.named_parameters():
        assert parameter.grad is not None, name
        assert not parameter.grad.any(), name


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize(("rate", "count"), [(0.5, 4), (0.25, 6), (0.9, 1), (0.99, 1)])
def test_patch_dropout(rate: float, count: int, first: int) -> None:
    """Each sample keeps a fraction of its patches, at least one, and the cls token first."""
    torch.manual_seed(0)
    x_BND = torch.randn(50, first + 8, 3, requires_grad=True)
    kept_BND = keep_patches(x_BND, rate, first)
    assert kept_BND.shape == (50, first + count, 3)
    assert torch.equal(kept_BND[:, :first], x_BND[:, :first])
    found_BNN = (kept_BND[:, :, None] == x_BND[:, None]).all(dim=-1)
    assert (found_BNN.sum(dim=2) == 1).all()
    assert (found_BNN.sum(dim=1) <= 1).all()
    assert found_BNN.any(dim=1)[:, first:].float().mean(dim=0).min() > 0  # each has its chance
    kept_BND.sum().backward()
    assert torch.equal(x_BND.grad.bool()[..., 0], found_BNN.any(dim=1))


def test_recomputation() -> None:
    """Recomputed activations have bit-equal gradients, also with dropped branches."""

    def gradients(recompute: bool) -> list[torch.Tensor]:
        trunk = build(drop_path=0.5, bias_kv=True, pre_norm=True).train()
        trunk.recompute = recompute
        torch.manual_seed(7)
        x_BND = torch.randn(6, 5, 24, requires_grad=True)
        trunk(x_BND, torch.arange(6) % 5).square().sum().backward()
        return [x_BND.grad, *(p.grad for p in trunk.parameters())]

    for kept, again in zip(gradients(False), gradients(True), strict=True):
        assert torch.equal(kept, again)


def test_recomputation_keeps_less() -> None:
    """Recomputation keeps one tensor per block for the backward pass."""

    def kept_values(recompute: bool) -> int:
        trunk, values = build().train(), 0
        trunk.recompute = recompute

        def count(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal values
            values += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            trunk(torch.randn(16, 10, 24, requires_grad=True))
        return values

    assert kept_values(True) < kept_values(False) / 5
