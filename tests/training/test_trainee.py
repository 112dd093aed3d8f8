"""A trained tower starts as planned and comes out plain: head folded in, adapters merged."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import openbind
from openbind.errors import ConfigError
from openbind.modalities.imu import ImuSettings
from openbind.training.distributed import World
from openbind.training.heads import HeadPlan, features
from openbind.training.recipe import Hardware
from openbind.training.towers import TowerPlan
from openbind.training.trainee import Trainee, choose_settings

SMALL = {
    "stem": {"channels": 6, "kernel": 8, "steps": 64},
    "trunk": {"width": 16, "depth": 2, "heads": 2},
    "head": {"bias": True},
}


def begin(world: Any, plan: TowerPlan, ema: float | None = None, rows: int = 0) -> Trainee:
    space = openbind.load(world.folder / "start")
    if plan.start == "space":
        space = with_imu(world)
    trainee = Trainee(plan, "imu", space, seed=0)
    kept = None
    if rows:
        found = features(trainee.tower, torch.randn(rows, 6, 64))
        kept = found, torch.zeros(rows, trainee.spec.config.head.embed_dim)
    trainee.begin(Hardware(), World(), ema, kept)
    return trainee


def with_imu(world: Any) -> openbind.Space:
    """The starting space with an untrained tower for motions."""
    from openbind.training.result import extend_space

    space = openbind.load(world.folder / "start")
    trainee = Trainee(TowerPlan(config=SMALL), "imu", space, seed=3)
    tower = (trainee.spec, trainee.tower)
    return extend_space(space, "with-imu", {"imu": tower}, {"imu": ImuSettings()}, {"imu": 5.0})


def learn(trainee: Trainee, x: torch.Tensor) -> None:
    """Take one rough step."""
    trainee.embed(x)[:, 0].sum().backward()
    with torch.no_grad():
        for weight in trainee.net.parameters():
            if weight.grad is not None:
                weight -= 0.1 * weight.grad
    trainee.update_average()


@pytest.mark.parametrize(
    "plan",
    [
        TowerPlan(config=SMALL),
        TowerPlan(start="space", train="lora"),
        TowerPlan(start="space", train="full"),
    ],
    ids=["scratch", "lora", "full"],
)
def test_finished(world: Any, plan: TowerPlan) -> None:
    """The finished tower gives what the trained one gives, and has the plain names."""
    trainee, x = begin(world, plan), torch.randn(3, 6, 64)
    learn(trainee, x)
    finished = trainee.finished_tower(trainee.state())
    trainee.net.eval()
    with torch.no_grad():
        assert torch.allclose(finished(x), trainee.net(x), atol=1e-5)
    plain = Trainee(TowerPlan(config=SMALL), "imu", openbind.load(world.folder / "start"), 0)
    assert finished.state_dict().keys() == plain.tower.state_dict().keys()


def test_head(world: Any) -> None:
    """A head trained on standardised features is folded back exactly."""
    plan = TowerPlan(start="space", train="head", head=HeadPlan(fresh=True, standardise=True))
    trainee, x = begin(world, plan, rows=20), torch.randn(3, 6, 64)
    kept = features(trainee.tower, x)
    learn(trainee, kept)
    finished = trainee.finished_tower(trainee.state())
    trainee.net.eval()
    with torch.no_grad():
        assert torch.allclose(finished(x), trainee.net(kept), atol=1e-5)


def test_average(world: Any) -> None:
    """The moving average lies between the start and the end."""
    trainee = begin(world, TowerPlan(config=SMALL), ema=0.5)
    before = trainee.state()["head.proj.weight"]
    trainee.update_average()
    learn(trainee, torch.randn(3, 6, 64))
    after, average = trainee.state()["head.proj.weight"], trainee.average_state()
    assert average is not None
    assert torch.allclose(average["head.proj.weight"], (before + after) / 2, atol=1e-6)


def test_settings(world: Any) -> None:
    """Preprocessing is the modality's or the space's, with the plan's changes."""
    start = openbind.load(world.folder / "start")
    plan = TowerPlan(config=SMALL, settings={"steps": 64})
    assert choose_settings(plan, "imu", start) == ImuSettings(steps=64)
    with pytest.raises(ConfigError, match=r"towers\.imu\.settings\.step: .*'steps'"):
        choose_settings(TowerPlan(config=SMALL, settings={"step": 64}), "imu", start)


def test_nothing_to_recompute(world: Any) -> None:
    """Recomputation needs blocks."""
    plan = TowerPlan(start="space", train="head")
    space = with_imu(world)
    trainee = Trainee(plan, "imu", space, seed=0)
    trainee.tower.trunk = torch.nn.Identity()
    with pytest.raises(ConfigError, match="imu's tower has no blocks"):
        kept = torch.randn(4, 16), torch.zeros(4, 1)
        trainee.begin(Hardware(recompute=True), World(), None, kept)
