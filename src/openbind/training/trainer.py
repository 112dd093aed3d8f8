"""The loop: draw a batch of one pair, contrast it with the frozen side, step; watch and save."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from openbind.data.loader import Batch, SkippedItem, load_batches
from openbind.data.sampler import Draw, Sampler, StepBatches
from openbind.data.views import view_rng
from openbind.errors import ConfigError, TrainingError
from openbind.training.distributed import World
from openbind.training.gradcache import cached_backward
from openbind.training.objective import info_nce, sigmoid_loss
from openbind.training.optimization import build_optimizer, lr_at, take_step
from openbind.training.pair_state import PairState
from openbind.training.recipe import PairPlan, Recipe
from openbind.training.trained_tower import TrainedTower


class Temperature(nn.Module):
    """The scale (1 / temperature) of one pair's cosines, and the sigmoid's bias.

    Args:
        plan: of the pair.
    """

    def __init__(self, plan: PairPlan) -> None:
        super().__init__()
        learned = plan.learn_temperature
        log_scale = torch.tensor(-math.log(plan.temperature))
        self.log_scale = nn.Parameter(log_scale, requires_grad=learned)
        self.bias = nn.Parameter(torch.tensor(plan.bias), requires_grad=learned)

    @property
    def scale(self) -> torch.Tensor:
        """1 / temperature; what is learned stays within 100, as CLIP's (arXiv 2103.00020, 2.5)."""
        scale = self.log_scale.exp()
        return scale.clamp(max=100.0) if self.log_scale.requires_grad else scale


@dataclass(frozen=True)
class StepResult:
    """Numbers of one step.

    Args:
        loss: of the whole batch, over all processes.
        grad_norm: before clipping.
        lr: learning rate.
        scale: 1 / temperature.
        skipped: items of this process that couldn't be used.
    """

    loss: float
    grad_norm: float
    lr: float
    scale: float
    skipped: Sequence[SkippedItem]


class Trainer:
    """Takes the steps of a run.

    Args:
        recipe: of the run.
        pairs: its pairs.
        trained_towers: modality → its tower, begun.
        world: the processes.

    Raises:
        ConfigError: too few rows for a batch, or a batch that the processes can't share evenly.
    """

    def __init__(
        self,
        recipe: Recipe,
        pairs: Sequence[PairState],
        trained_towers: dict[str, TrainedTower],
        world: World,
    ) -> None:
        if recipe.batch_size % world.size:
            raise ConfigError(
                f"batch_size: {recipe.batch_size} rows can't be shared by {world.size} processes"
            )
        self.recipe, self.pairs, self.trained_towers, self.world = (
            recipe,
            pairs,
            trained_towers,
            world,
        )
        self.steps_per_epoch = sum(pair.batches_per_epoch(recipe.batch_size) for pair in pairs)
        self.steps = recipe.schedule.total_steps(self.steps_per_epoch)
        self.sampler = Sampler(
            [pair.size(recipe.batch_size) for pair in pairs],
            batch_size=recipe.batch_size,
            steps=self.steps,
            seed=recipe.seed,
        )
        self.temperatures = [Temperature(pair.plan).to(world.device) for pair in pairs]
        nets = [trained_tower.net for trained_tower in trained_towers.values()]
        self.optimizer = build_optimizer(
            nn.ModuleList([*nets, *self.temperatures]), recipe.schedule
        )

    def batches(self, start: int) -> Any:
        """Read this process's batches from a step on."""
        return load_batches(
            [pair.plan.name for pair in self.pairs],
            [pair.side for pair in self.pairs],
            [pair.table for pair in self.pairs],
            StepBatches(self.sampler, start, self.world.rank, self.world.size),
            num_workers=self.recipe.hardware.num_workers,
        )

    def take_step(self, step: int, batch: Batch) -> StepResult:
        """Learn from one batch.

        Args:
            step: from 0.
            batch: of this process.

        Raises:
            TrainingError: the loss or the gradient is no finite number.
        """
        index = batch.draws[0].pair
        pair, schedule = self.pairs[index], self.recipe.schedule
        # What dropout draws depends on the step alone: no state of it has to be kept to resume.
        torch.manual_seed(_seed_of(self.recipe.seed, step, self.world.rank))
        loss = self._backward(step, index, batch)
        self._require_finite("loss", loss, step, pair, batch.draws)
        lr = lr_at(step, schedule, self.steps)
        norm = float(take_step(self.optimizer, lr, schedule.max_grad_norm))
        self._require_finite("gradient's norm", norm, step, pair, batch.draws)
        for trained_tower in self.trained_towers.values():
            trained_tower.update_average()
        scale = float(self.temperatures[index].scale.detach())
        return StepResult(loss, norm, lr, scale, batch.skipped)

    def _backward(self, step: int, index: int, batch: Batch) -> float:
        """Find the gradients of one batch; returns the loss."""
        pair, world = self.pairs[index], self.world
        trained_tower = self.trained_towers[pair.plan.pair[1]]
        draws = self._exchange(batch.draws)
        rng = view_rng(self.recipe.seed, f"{pair.plan.name}/negatives", step)
        mine = slice(world.rank * len(batch.draws), (world.rank + 1) * len(batch.draws))
        whole = pair.corpus.contrast(draws, pair.plan.negatives, rng)
        contrast = whole.part(mine, world.device)
        temperature = self.temperatures[index]

        def embed(x: torch.Tensor) -> torch.Tensor:
            with self._precision():
                return trained_tower.embed(x)

        def contrast_loss(query_QE: torch.Tensor) -> torch.Tensor:
            lengths = float(query_QE.detach().norm(dim=1).sum())
            self._require_finite("embeddings' length", lengths, step, pair, batch.draws)
            scale, bias = temperature.scale, temperature.bias
            items_KE, target_Q, excluded = contrast.items_KE, contrast.target_Q, contrast.excluded
            if pair.plan.loss == "sigmoid":
                return sigmoid_loss(
                    query_QE, items_KE, scale, bias, target_Q, world.gather, excluded
                )
            return info_nce(query_QE, items_KE, scale, target_Q, world.gather, excluded)

        inputs = batch.inputs.to(world.device)
        rows = self.recipe.hardware.micro_batch
        if rows is not None and rows < len(inputs):
            loss = cached_backward(
                embed, inputs.split(rows), contrast_loss, module=trained_tower.net
            )
        else:
            loss = contrast_loss(embed(inputs))
            loss.backward()
        return float(loss.detach())

    def _exchange(self, draws: list[Draw]) -> list[Draw]:
        """Return all processes what each has drawn, neighbors of broken items included."""
        if self.world.size == 1:
            return draws
        mine = torch.tensor([[d.pair, d.row, d.anchor, d.view] for d in draws])
        every = self.world.gather(mine.to(self.world.device)).flatten(0, 1).tolist()
        return [Draw(pair, row, anchor, view, 0) for pair, row, anchor, view in every]

    def _precision(self) -> Any:
        if self.recipe.hardware.precision == "bfloat16":
            return torch.autocast(self.world.device.type, torch.bfloat16)
        return nullcontext()

    def _require_finite(
        self, what: str, value: float, step: int, pair: PairState, draws: Sequence[Draw]
    ) -> None:
        if math.isfinite(value):
            return
        rows = ", ".join(pair.table.rows[draw.row].key for draw in draws[:4])
        raise TrainingError(
            f"step {step}, {pair.plan.name}: the {what} is {value}. The batch holds {rows}, …; "
            "check these items, lower schedule.lr, set schedule.max_grad_norm, or use float32"
        )


class Stopwatch:
    """Rows a second since it was asked the last time."""

    def __init__(self) -> None:
        self._since, self._rows = time.perf_counter(), 0

    def count(self, rows: int) -> None:
        """Count rows that are done."""
        self._rows += rows

    def rows_per_second(self) -> float:
        """Return the rate, and start again."""
        now = time.perf_counter()
        rate = self._rows / max(now - self._since, 1e-9)
        self._since, self._rows = now, 0
        return rate


def _seed_of(seed: int, step: int, rank: int) -> int:
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> 1)
