"""A loss has the plan's temperature, and one from outside the package trains by its name."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from openbind.errors import ConfigError, UnknownNameError
from openbind.training.distributed import World
from openbind.training.losses import LOSSES
from openbind.training.losses.chunked import Excluded, Gather, gather_alone
from openbind.training.losses.info_nce import InfoNCE, info_nce
from openbind.training.losses.loss import Loss
from openbind.training.losses.sigmoid import Sigmoid, sigmoid_loss
from openbind.training.recipe import PairPlan
from openbind.training.recipe_file import read_recipe
from openbind.training.run import prepare_run
from openbind.training.trainer import Trainer


def plan_of(world: Any, **values: str) -> PairPlan:
    return read_recipe(world.recipe, {f"pairs.0.{k}": v for k, v in values.items()}).pairs[0]


def test_temperature(world: Any) -> None:
    """A fixed scale is the inverse of the temperature; a learned one starts with at most 100."""
    assert float(InfoNCE(plan_of(world, temperature="0.005")).scale) == pytest.approx(200)
    with pytest.raises(ConfigError, match=r"temperature: expected at least 0\.01"):
        plan_of(world, temperature="0.005", learn_temperature="true")


def test_a_scale_at_its_limit_is_learned(world: Any) -> None:
    """At 100 a learned scale still has a gradient, and stays below the limit after steps."""
    loss = InfoNCE(plan_of(world, temperature="0.01", learn_temperature="true"))
    query_QE, target_Q = torch.eye(3, 4), torch.tensor([0, 1, 1])
    loss(query_QE, torch.eye(4), target_Q).backward()
    assert loss.log_scale.grad is not None
    assert abs(float(loss.log_scale.grad)) > 1
    with torch.no_grad():
        loss.log_scale.add_(1.0)
    loss.limit_scale()
    assert float(loss.scale.detach()) == pytest.approx(100)


def test_classes_compute_the_functions(world: Any) -> None:
    """Both losses are their functions at the plan's temperature and bias."""
    query_QE, items_KE = torch.eye(3, 4), torch.eye(4)
    target_Q = torch.tensor([0, 1, 1])
    plan = plan_of(world, temperature="0.5", bias="-3.0")
    loss = InfoNCE(plan)(query_QE, items_KE, target_Q)
    torch.testing.assert_close(loss, info_nce(query_QE, items_KE, 2.0, target_Q))
    loss = Sigmoid(plan)(query_QE, items_KE, target_Q)
    torch.testing.assert_close(loss, sigmoid_loss(query_QE, items_KE, 2.0, -3.0, target_Q))


class Margin(Loss):
    """A hinge on the margin between an item and the hardest negative; the margin is learned."""

    def __init__(self, plan: PairPlan) -> None:
        super().__init__(plan)
        self.margin = nn.Parameter(torch.tensor(0.5))

    def forward(
        self,
        query_QE: Tensor,
        items_KE: Tensor,
        target_Q: Tensor,
        gather: Gather = gather_alone,
        excluded: Excluded | None = None,
    ) -> Tensor:
        """Compute the loss of one process."""
        scores_QK = query_QE @ items_KE.T
        own_Q = scores_QK.gather(1, target_Q[:, None])[:, 0]
        hardest_Q = scores_QK.scatter(1, target_Q[:, None], -torch.inf).amax(1)
        return (self.margin + hardest_Q - own_Q).relu().mean() - 0.1 * self.margin


def test_loss_of_another_package(world: Any) -> None:
    """A loss added by name is found by a recipe, and its own parameters are trained."""
    with pytest.raises(UnknownNameError, match="sigmoid"):
        plan_of(world, loss="sigmoyd")
    LOSSES.add("margin", Margin)
    try:
        recipe = read_recipe(world.recipe, {"pairs.0.loss": "margin"})
        run = prepare_run(recipe, world.folder, None, World(), progress=False)
        trainer = Trainer(recipe, run.pairs, run.trained_towers, World())
        batch = next(iter(trainer.batches(0)))
        losses = [trainer.take_step(step, batch).loss for step in range(2)]
    finally:
        del LOSSES.added["margin"]
    assert losses[0] != losses[1]
    assert float(trainer.losses[0].margin.detach()) != 0.5
