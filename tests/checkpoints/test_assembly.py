"""A space is built from given tensors, without initial weights in between."""

from __future__ import annotations

import pytest
import torch

from openbind.checkpoints.assembly import assemble, widest
from openbind.model.config import HeadConfig, TokenStem, TowerConfig, TrunkConfig
from openbind.model.tower import Tower
from openbind.presets import bind
from openbind.space.card import Card

CONFIG = TowerConfig(
    stem=TokenStem(vocabulary=10, context=4),
    trunk=TrunkConfig(width=8, depth=1, heads=2, causal=True),
    head=HeadConfig(embed_dim=5, pool="eot"),
)


@pytest.mark.parametrize(
    ("stored", "given", "expected"),
    [
        (torch.float32, None, torch.float32),
        (torch.bfloat16, None, torch.bfloat16),
        (torch.float16, torch.float32, torch.float32),
    ],
)
def test_precision(stored: torch.dtype, given: torch.dtype | None, expected: torch.dtype) -> None:
    """The tensors' own precision unless one is given; the config states it."""
    state = {k: torch.ones_like(v, dtype=stored) for k, v in Tower(CONFIG).state_dict().items()}
    space = assemble(
        bind("x", {"text": CONFIG}),
        {"text": state},
        Card(),
        None,
        device="cpu",
        dtype=given,
        mapped=False,
    )
    assert {p.dtype for p in space.towers["text"].parameters()} == {expected}
    assert space.config.dtype == str(expected).removeprefix("torch.")
    vectors = space.embed_tensors({"text": torch.tensor([[1, 9, 0, 0]])})["text"]
    assert vectors.shape == (1, 5)


def test_no_weights_are_drawn() -> None:
    """The global random state is unchanged, and tensors are used, not copied."""
    state = dict(Tower(CONFIG).state_dict())
    before = torch.get_rng_state()
    space = assemble(
        bind("x", {"text": CONFIG}),
        {"text": state},
        Card(),
        None,
        device="cpu",
        dtype=None,
        mapped=False,
    )
    assert torch.equal(torch.get_rng_state(), before)
    weight = space.towers["text"].get_parameter("head.proj.weight")
    assert weight.data_ptr() == state["head.proj.weight"].data_ptr()


def test_widest() -> None:
    """The dtype that all tensors convert to; integers don't count."""
    half, brain = torch.zeros(1).half(), torch.zeros(1).bfloat16()
    assert widest([half, half]) == torch.float16
    assert widest([half, brain]) == torch.float32
    assert widest([brain, torch.zeros(1, dtype=torch.int64)]) == torch.bfloat16
    assert widest([]) == torch.float32
