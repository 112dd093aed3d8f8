"""A step trains on one batch: learning rates, temperatures and the loss are as planned."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from openbind.errors import ConfigError
from openbind.training.distributed import World
from openbind.training.recipe import Recipe
from openbind.training.recipe_file import read_recipe
from openbind.training.run import prepare_run
from openbind.training.trainer import Stopwatch, Trainer


def prepare(world: Any, **changes: str) -> tuple[Recipe, Trainer]:
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    recipe = read_recipe(world.recipe, dotted)
    run = prepare_run(recipe, world.folder, None, World(), progress=False)
    return recipe, Trainer(recipe, run.pairs, run.trained_towers, World())


def test_steps(world: Any) -> None:
    """Steps report loss, learning rate and scale; the loss on a repeated batch falls."""
    _, trainer = prepare(world, schedule__lr="1e-2")
    batch = next(iter(trainer.batches(0)))
    results = [trainer.take_step(step, batch) for step in range(8)]
    assert results[0].lr == pytest.approx(0.005)
    assert max(result.lr for result in results) == pytest.approx(0.01)
    assert results[-1].loss < 0.8 * results[0].loss
    assert [result.scale for result in results] == pytest.approx([10.0] * 8)


@pytest.mark.slow
def test_learned_temperature(world: Any) -> None:
    """A learned temperature changes, with both losses."""
    for loss in ("info_nce", "sigmoid"):
        changes = {"pairs__0__learn_temperature": "true", "pairs__0__loss": loss}
        _, trainer = prepare(world, schedule__lr="1e-2", **changes)
        batch = next(iter(trainer.batches(0)))
        scales = [trainer.take_step(step, batch).scale for step in range(4)]
        assert len(set(scales)) == 4
        if loss == "sigmoid":
            assert trainer.losses[0].bias != trainer.pairs[0].plan.bias


@pytest.mark.slow
def test_several_pairs(world: Any) -> None:
    """With two pairs each step has a batch of one of them."""
    pair = "{pair: [image, imu], data: {manifest: pairs.csv}, temperature: 0.1, weight: WEIGHT}"
    pairs = ", ".join(pair.replace("WEIGHT", weight) for weight in ("3", "1"))
    _, trainer = prepare(world, pairs=f"[{pairs}]")
    assert set(trainer.sampler.pair_of_step.tolist()) == {0, 1}
    assert trainer.steps_per_epoch == 10
    for step, batches in zip(range(6), trainer.batches(0), strict=False):
        drawn = {draw.pair for batch in batches for draw in batch.draws}
        assert drawn == {trainer.sampler.pair_of_step[step]}
        assert trainer.take_step(step, batches).loss > 0


def test_every_pair_a_step(world: Any) -> None:
    """A step's loss and gradients are the weighted sums of those of a batch of every pair."""
    pair = "{pair: [image, imu], data: {manifest: pairs.csv}, temperature: 0.1, OWN}"
    owns = ("weight: 0.5", "batch_size: 4")
    plans = ", ".join(pair.replace("OWN", own) for own in owns)
    still = {
        "towers__imu__config__trunk__drop_path": "0",
        "towers__imu__config__head__dropout": "0",
    }
    _, trainer = prepare(world, pairs=f"[{plans}]", each_step="all", **still)
    assert trainer.steps_per_epoch == 10  # passes of the pair with the most batches
    batches = next(trainer.batches(0))
    assert [(b.draws[0].pair, len(b.draws)) for b in batches] == [(0, 8), (1, 4)]
    weights = [p for p in trainer.model.parameters() if p.requires_grad]
    found = []
    for part in (batches[:1], batches[1:], batches):
        losses = [trainer._backward(0, batch) for batch in part]
        found.append((losses, [p.grad.clone() for p in weights if p.grad is not None]))
        trainer.optimizer.zero_grad()
    for first, second, both in zip(*(gradients for _, gradients in found), strict=True):
        torch.testing.assert_close(both, first + second)
    result = trainer.take_step(0, batches)
    assert result.losses == pytest.approx(found[2][0])
    assert result.loss == pytest.approx(0.5 * found[0][0][0] + found[1][0][0])
    with pytest.raises(ConfigError, match="4 rows can't be shared by 8 processes"):
        Trainer(trainer.recipe, trainer.pairs, trainer.trained_towers, World(size=8))


def test_uneven(world: Any) -> None:
    """A batch that processes can't share evenly is refused."""
    recipe, trainer = prepare(world)
    with pytest.raises(ConfigError, match="8 rows can't be shared by 3 processes"):
        Trainer(recipe, trainer.pairs, trainer.trained_towers, World(size=3))


def test_same_step_same_noise(world: Any) -> None:
    """The dropout of a step depends on seed and step alone."""
    losses = []
    for _ in range(2):
        torch.rand(int(torch.randint(1, 9, ())))  # another state each time
        _, trainer = prepare(world)
        losses.append(
            [
                trainer.take_step(s, b).loss
                for s, b in zip(range(3), trainer.batches(0), strict=False)
            ]
        )
    assert losses[0] == losses[1]


def test_stopwatch() -> None:
    """The throughput is that since the last call."""
    clock = Stopwatch()
    clock.count(100)
    assert clock.rows_per_second() > 0
    assert clock.rows_per_second() == 0
