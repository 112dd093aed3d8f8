"""Learning rates follow the formula, AdamW its definition; only weight matrices decay."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from openbind.configs import from_dict, to_dict
from openbind.errors import ConfigError
from openbind.model.config import HeadConfig, PatchStem, TowerConfig, TrunkConfig
from openbind.model.initial import initialize
from openbind.model.tower import Tower
from openbind.training.optimization import (
    Schedule,
    build_optimizer,
    group_parameters,
    lr_at,
    take_step,
)


def test_rates() -> None:
    """The learning rate rises linearly to the peak and falls along half a cosine to the minimum."""
    schedule = Schedule(lr=2.0, steps=14, warmup_steps=4, min_lr_ratio=0.1)
    rates = [lr_at(step, schedule, 14) for step in range(14)]
    assert rates[:5] == [0.5, 1.0, 1.5, 2.0, 2.0]
    assert rates[9] == pytest.approx(2.0 * (0.1 + 0.9 / 2))  # halfway
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert lr_at(14, schedule, 14) == pytest.approx(0.2)


def test_rates_are_those_of_pytorch() -> None:
    """Without warm-up learning rates are those of `CosineAnnealingLR`."""
    schedule = Schedule(lr=0.3, steps=9, min_lr_ratio=0.2)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 9, eta_min=0.06)
    for step in range(9):
        assert lr_at(step, schedule, 9) == pytest.approx(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()


def test_every_step_learns() -> None:
    """Learning rates are above 0 and at most the peak, for all lengths."""
    for total in range(1, 12):
        for warmup in range(14):
            schedule = Schedule(lr=1.0, steps=total, warmup_steps=warmup)
            rates = [lr_at(step, schedule, total) for step in range(total)]
            assert min(rates) > 0
            assert max(rates) <= 1


def test_lengths() -> None:
    """Epochs are converted to steps, those of the warm-up too."""
    schedule = Schedule(lr=1.0, epochs=64, warmup_epochs=2)
    assert schedule.total_steps(10.5) == 672
    assert schedule.count_warmup(672) == 21
    assert schedule.describe() == "64 epochs"
    mixed = Schedule(lr=1.0, epochs=0.01, warmup_steps=5)
    assert mixed.total_steps(3) == 1
    assert mixed.count_warmup(1) == 1
    steps = Schedule(lr=1.0, steps=7)
    assert (steps.total_steps(3), steps.count_warmup(7), steps.describe()) == (7, 0, "7 steps")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "exactly one of epochs and steps"),
        ({"epochs": 1, "steps": 1}, "exactly one"),
        ({"epochs": 1, "warmup_epochs": 1, "warmup_steps": 1}, "at most one"),
        ({"steps": 1, "warmup_epochs": 1}, "warmup_steps"),
        ({"steps": 0}, "steps: expected a number greater than 0"),
        ({"steps": 1, "lr": -1.0}, "lr: expected"),
        ({"steps": 1, "lr": math.nan}, "lr: expected"),
        ({"steps": 1, "max_grad_norm": 0.0}, "max_grad_norm: expected"),
        ({"steps": 1, "weight_decay": -0.1}, "weight_decay: expected"),
        ({"steps": 1, "warmup_steps": -1}, "warmup_steps: expected"),
        ({"steps": 1, "betas": [0.9, 1.0]}, r"betas: expected numbers in \[0, 1\)"),
        ({"steps": 1, "ema_decay": 1.0}, "ema_decay: expected"),
        ({"steps": 1, "min_lr_ratio": 1.5}, "min_lr_ratio"),
        ({"steps": 1, "warmup": 3}, "did you mean 'warmup_steps'"),
    ],
)
def test_impossible_schedules(values: dict[str, object], message: str) -> None:
    """Invalid values are refused, and the key is named."""
    with pytest.raises(ConfigError, match=message):
        from_dict(Schedule, {"lr": 1.0, **values})


def test_round_trip() -> None:
    """A schedule read back is equal."""
    schedule = Schedule(lr=1e-3, epochs=2.5, warmup_epochs=0.5, max_grad_norm=1.0, ema_decay=0.99)
    assert from_dict(Schedule, to_dict(schedule)) == schedule


def build_tower() -> Tower:
    config = TowerConfig(
        stem=PatchStem(channels=1, kernel=(4, 4), stride=(4, 4), size=(8, 8), norm=True),
        trunk=TrunkConfig(width=8, depth=1, heads=2, bias_kv=True),
        head=HeadConfig(embed_dim=4),
    )
    return initialize(Tower(config), torch.Generator().manual_seed(0))


def test_groups() -> None:
    """Weight matrices decay; biases, norms, tokens, positions and learned keys don't."""
    model = nn.ModuleDict({"tower": build_tower()})
    model["tower"].register_parameter("log_scale", nn.Parameter(torch.zeros(())))
    names = {id(p): n.removeprefix("tower.") for n, p in model.named_parameters()}
    decaying, free = group_parameters(model, 0.2)
    assert (decaying["weight_decay"], free["weight_decay"]) == (0.2, 0.0)
    block = "trunk.blocks.0"
    assert {names[id(p)] for p in decaying["params"]} == {
        "stem.weight",
        f"{block}.attention.in_proj.weight",
        f"{block}.attention.out_proj.weight",
        f"{block}.mlp.fc1.weight",
        f"{block}.mlp.fc2.weight",
        "head.proj.weight",
    }
    assert len(decaying["params"]) + len(free["params"]) == len(names)


def test_only_what_is_trained() -> None:
    """Frozen parameters are in no group; without trained ones there is an error."""
    tower = build_tower().requires_grad_(False)
    with pytest.raises(ValueError, match="nothing in the model is trained"):
        build_optimizer(tower, Schedule(lr=1.0, steps=1))
    tower.head.proj.requires_grad_(True)
    groups = build_optimizer(tower, Schedule(lr=1.0, steps=1)).param_groups
    assert [id(p) for g in groups for p in g["params"]] == [id(tower.head.proj.weight)]


@pytest.mark.parametrize("clip", [None, 0.5])
def test_steps_are_adamw(clip: float | None) -> None:
    """Steps equal AdamW's formula (arXiv 1711.05101, algorithm 2) with clipped gradients."""
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    schedule = Schedule(lr=9.0, weight_decay=0.1, betas=(0.8, 0.9), eps=1e-6, steps=5)
    weight, bias = (p.detach().double().clone() for p in layer.parameters())
    optimizer = build_optimizer(layer, schedule)
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in (weight, bias)]
    for step in range(1, 4):
        layer(torch.randn(4, 3)).square().sum().backward()
        gradients = [p.grad.double() for p in layer.parameters()]
        norm = torch.cat([g.flatten() for g in gradients]).norm()
        assert norm > 0.5
        rate = 0.01 * step
        found = take_step(optimizer, rate, clip)
        assert found.item() == pytest.approx(norm.item(), rel=1e-5)
        for index, (parameter, decay) in enumerate(((weight, 0.1), (bias, 0.0))):
            gradient = gradients[index] * (1.0 if clip is None else clip / norm)
            first, second = moments[index]
            first.lerp_(gradient, 0.2)
            second.lerp_(gradient**2, 0.1)
            parameter.mul_(1 - rate * decay)
            scaled = (second / (1 - 0.9**step)).sqrt() + 1e-6
            parameter.sub_(rate * first / (1 - 0.8**step) / scaled)
        for ours, expected in zip(layer.parameters(), (weight, bias), strict=True):
            torch.testing.assert_close(ours.detach().double(), expected, rtol=1e-4, atol=1e-5)
        assert all(p.grad is None for p in layer.parameters())


def test_factors() -> None:
    """Weights that match a pattern have a learning rate of their own; each pattern must match."""
    model = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)})
    schedule = Schedule(lr=1.0, steps=1, lr_factors={"a.weight": 0.3, "a.*": 0.1})
    optimizer = build_optimizer(model, schedule)
    model["a"](torch.ones(1, 2)).sum().backward()
    take_step(optimizer, 0.5, None)
    rates = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
    found = {name: rates[id(parameter)] for name, parameter in model.named_parameters()}
    assert found == {"a.weight": 0.15, "a.bias": 0.05, "b.weight": 0.5, "b.bias": 0.5}
    with pytest.raises(ConfigError, match=r"'c\*'.*a\.weight"):
        build_optimizer(model, Schedule(lr=1.0, steps=1, lr_factors={"c*": 1.0}))
    with pytest.raises(ValueError, match="lr_factors"):
        Schedule(lr=1.0, steps=1, lr_factors={"a": 0.0})
