"""The trunk: one chosen token, and parts of a batch, give what all tokens at once give."""

from __future__ import annotations

import pytest
import torch

from openbind.model import memory
from openbind.model.config import TrunkConfig
from openbind.model.trunk import Trunk, drop_samples


def build(**more: object) -> Trunk:
    torch.manual_seed(0)
    return Trunk(TrunkConfig(width=24, depth=3, heads=3, **more)).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("pre_norm", [False, True])
def test_chosen_token(pre_norm: bool, causal: bool, grad: bool) -> None:
    """Computing only the wanted token in the last block changes no number of it."""
    trunk = build(causal=causal, pre_norm=pre_norm, bias_kv=True)
    x_BND, at_B = torch.randn(4, 6, 24), torch.tensor([5, 0, 2, 3])
    with torch.set_grad_enabled(grad):
        torch.testing.assert_close(trunk(x_BND, at_B)[:, 0], trunk(x_BND)[range(4), at_B])


@pytest.mark.parametrize("chosen", [False, True])
def test_parts_of_a_batch(monkeypatch: pytest.MonkeyPatch, chosen: bool) -> None:
    """A batch that goes through in parts gives what it gives at once, in order."""
    trunk = build()
    x_BND, at_B = torch.randn(5, 6, 24), torch.arange(5) if chosen else None
    with torch.no_grad():
        whole = trunk(x_BND, at_B)
        monkeypatch.setattr(memory, "LARGEST_BLOCK", 2 * 6 * 96 * 4)
        assert memory.rows_at_once(x_BND, 96, 3) == 2
        torch.testing.assert_close(trunk(x_BND, at_B), whole)


def test_drop_path_rises() -> None:
    """Blocks skip branches with probabilities that rise linearly from 0 to the configured one."""
    assert [block.drop_path for block in build(drop_path=0.5).blocks] == [0.0, 0.25, 0.5]
    single = Trunk(TrunkConfig(width=8, depth=1, heads=1, drop_path=0.5))
    assert single.blocks[0].drop_path == 0.0


def test_drop_path_only_while_training() -> None:
    """Evaluation is deterministic; training isn't."""
    trunk, x_BND = build(drop_path=0.9), torch.randn(8, 4, 24)
    assert torch.equal(trunk(x_BND), trunk(x_BND))
    trunk.train()
    assert not torch.equal(trunk(x_BND), trunk(x_BND))


def test_drop_samples() -> None:
    """Samples are dropped whole, the others scaled so that the mean stays."""
    torch.manual_seed(0)
    dropped_BND = drop_samples(torch.ones(4000, 3, 2), 0.25)
    per_sample = dropped_BND.flatten(1)
    assert torch.equal(per_sample, per_sample[:, :1].expand(-1, 6))
    assert set(per_sample[:, 0].tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert dropped_BND.mean() == pytest.approx(1.0, abs=0.05)
