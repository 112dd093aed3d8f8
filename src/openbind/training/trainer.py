"""Training steps: contrast batches of pairs with their frozen side, and update the weights."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import nn

from openbind.data.loader import Batch, SkippedItem, load_batches
from openbind.data.sampler import Draws, Sampler, StepBatches
from openbind.data.views import view_rng
from openbind.errors import ConfigError, TrainingError
from openbind.training.contrast import Contrast
from openbind.training.distributed import World
from openbind.training.gradcache import cached_backward
from openbind.training.losses import LOSSES
from openbind.training.losses.chunked import check_norms, gather_alone
from openbind.training.losses.kept_classes import keep_classes
from openbind.training.losses.loss import Loss
from openbind.training.optimization import build_optimizer, lr_at, take_step
from openbind.training.pair_state import PairState
from openbind.training.recipe import Recipe
from openbind.training.trained_tower import TrainedTower


@dataclass(frozen=True)
class StepResult:
    """Numbers of one step.

    Args:
        loss: of the whole batch, over all processes; the weighted sum of several pairs'.
        grad_norm: before clipping.
        lr: learning rate.
        scale: 1 / temperature, of the first pair of the step.
        skipped: items of this process that couldn't be used.
        losses: of each batch, without its weight.
    """

    loss: float
    grad_norm: float
    lr: float
    scale: float
    skipped: Sequence[SkippedItem]
    losses: Sequence[float]


class Trainer:
    """Takes the training steps of a run.

    Args:
        recipe: of the run.
        pairs: the prepared pairs, in the recipe's order.
        trained_towers: modality → its tower, ready to train (see `TrainedTower.begin`).
        world: the processes.
        steps: length of the run; None is the schedule's.

    Attributes:
        losses: one for each pair.
        model: all that is trained, towers and losses.
        steps, steps_per_epoch: length of the run, and of one epoch of all pairs.

    Raises:
        ConfigError: too few rows for a batch, or a batch that the processes can't share evenly.
    """

    def __init__(
        self,
        recipe: Recipe,
        pairs: Sequence[PairState],
        trained_towers: dict[str, TrainedTower],
        world: World,
        steps: int | None = None,
    ) -> None:
        for size in (pair.plan.batch_size or recipe.batch_size for pair in pairs):
            if size % world.size:
                raise ConfigError(
                    f"batch_size: {size} rows can't be shared by {world.size} processes"
                )
        self.recipe, self.world = recipe, world
        self.pairs, self.trained_towers = pairs, trained_towers
        together, size = recipe.each_step == "all", recipe.batch_size
        batches = [pair.batches_per_epoch(size) for pair in pairs]
        self.steps_per_epoch = max(batches) if together else sum(batches)
        self.steps = steps or recipe.schedule.total_steps(self.steps_per_epoch)
        self.sampler = Sampler(
            # Two pairs of the same modalities draw apart.
            [
                replace(pair.size(size), name=name)
                for pair, name in zip(pairs, recipe.pair_names(), strict=False)
            ],
            batch_size=size,
            steps=self.steps,
            seed=recipe.seed,
            together=together,
        )
        self.losses: list[Loss] = [
            LOSSES.get(pair.plan.loss)(pair.plan).to(world.device) for pair in pairs
        ]
        towers = nn.ModuleDict({name: tower.net for name, tower in trained_towers.items()})
        self.model = nn.ModuleDict({"towers": towers, "losses": nn.ModuleList(self.losses)})
        self.optimizer = build_optimizer(self.model, recipe.schedule)

    def batches(self, start: int) -> Iterator[list[Batch]]:
        """Read this process's batches of each step, beginning with a step."""
        found = load_batches(
            [pair.plan.name for pair in self.pairs],
            [pair.side for pair in self.pairs],
            [pair.table for pair in self.pairs],
            StepBatches(self.sampler, start, self.world.rank, self.world.size),
            num_workers=self.recipe.hardware.num_workers,
            pin_memory=self.world.device.type == "cuda",
        )
        while batches := list(islice(found, self.sampler.batches_a_step)):
            yield batches

    def take_step(self, step: int, batches: Sequence[Batch], lr: float | None = None) -> StepResult:
        """Train on the batches of a step.

        Args:
            step: from 0.
            batches: of this process, each of one pair.
            lr: learning rate; None is the schedule's.

        Raises:
            TrainingError: the loss or the gradient is NaN or infinite.
        """
        schedule = self.recipe.schedule
        # Dropout depends on the step alone: no random state has to be saved to resume.
        _seed_generators(_seed_of(self.recipe.seed, step, self.world.rank), self.world.device)
        losses = []
        for batch in batches:
            losses.append(self._backward(step, batch))
            self._require_finite("loss", losses[-1], step, batch)
        lr = lr_at(step, schedule, self.steps) if lr is None else lr
        norm = float(take_step(self.optimizer, lr, schedule.max_grad_norm))
        self._require_finite("gradient norm", norm, step, batches[0])
        for loss_fn in self.losses:
            loss_fn.limit_scale()
        for tower in self.trained_towers.values():
            tower.update_average()
        indices = [batch.draws.pair for batch in batches]
        total = sum(self._weight(i) * loss for i, loss in zip(indices, losses, strict=True))
        scale = float(self.losses[indices[0]].scale.detach())
        skipped = [item for batch in batches for item in batch.skipped]
        return StepResult(total, norm, lr, scale, skipped, losses)

    def _weight(self, index: int) -> float:
        """Return the weight of a pair's loss; where steps choose a pair, it decides how often."""
        weight = self.pairs[index].plan.weight
        return 1.0 if weight is None or not self.sampler.together else weight

    def _backward(self, step: int, batch: Batch) -> float:
        """Add the gradients of one batch, by its pair's weight; return its loss."""
        index = batch.draws.pair
        world, loss_fn, pair = self.world, self.losses[index], self.pairs[index]
        tower, weight = self.trained_towers[pair.plan.pair[1]], self._weight(index)
        contrast = self._contrast(step, index, batch)
        inputs = batch.inputs.to(world.device, non_blocking=True)

        def embed(x: torch.Tensor) -> torch.Tensor:
            with self._precision():
                return tower.embed(x)

        def compute_loss(query_QE: torch.Tensor) -> torch.Tensor:
            items_KE = contrast.items()
            if step % self.recipe.logging.log_every == 0:
                self._check(step, batch, query_QE.detach(), items_KE)
            gather = gather_alone if world.size == 1 else world.gather
            given = query_QE, items_KE, contrast.target_Q, gather, contrast.excluded
            loss: torch.Tensor = loss_fn(*given)
            if pair.plan.keep is not None and pair.classes_CE is not None:
                logits_QC, scale = tower.classify(inputs), loss_fn.scale.detach()
                kept = keep_classes(query_QE, pair.classes_CE, logits_QC, scale, world.gather)
                loss = loss + pair.plan.keep.weight * kept
            return loss if weight == 1 else weight * loss

        rows = self.recipe.hardware.micro_batch
        if rows is not None and rows < len(inputs):
            parts = inputs.split(rows)
            loss = cached_backward(embed, parts, compute_loss, module=tower.net)
        else:
            loss = compute_loss(embed(inputs))
            loss.backward()
        return float(loss.detach()) / weight

    def _contrast(self, step: int, index: int, batch: Batch) -> Contrast:
        """Choose the frozen items of the whole batch, and the targets of this process's rows."""
        pair, rank, rows = self.pairs[index], self.world.rank, len(batch.draws)
        rng = partial(view_rng, self.recipe.seed, f"{pair.plan.name}/negatives", step)
        whole = pair.corpus.contrast(self._exchange(batch.draws), pair.plan.negatives, rng)
        return whole.part(slice(rank * rows, (rank + 1) * rows), self.world.device)

    def _exchange(self, draws: Draws) -> Draws:
        """Return the draws of all processes, with those that replace unusable items."""
        if self.world.size == 1:
            return draws
        mine = torch.from_numpy(np.stack([draws.rows_B, draws.anchors_B, draws.views_B], axis=1))
        every = self.world.gather(mine.to(self.world.device)).flatten(0, 1).cpu().numpy()
        rows_B, anchors_B, views_B = every.T
        return Draws(draws.pair, rows_B, anchors_B, views_B, np.zeros_like(rows_B))

    def _check(
        self, step: int, batch: Batch, query_QE: torch.Tensor, items_KE: torch.Tensor
    ) -> None:
        """Check what a loss assumes, whose own steps don't take the time for it."""
        norms = float(query_QE.norm(dim=1).sum())
        self._require_finite("embeddings' norm", norms, step, batch)
        check_norms("query", query_QE)
        check_norms("item", items_KE.flatten(0, -2))

    def _precision(self) -> Any:
        if self.recipe.hardware.precision == "bfloat16":
            return torch.autocast(self.world.device.type, torch.bfloat16)
        return nullcontext()

    def _require_finite(self, what: str, value: float, step: int, batch: Batch) -> None:
        if math.isfinite(value):
            return
        pair = self.pairs[batch.draws.pair]
        rows = ", ".join(pair.table.rows[draw.row].key for draw in batch.draws[:4])
        raise TrainingError(
            f"step {step}, {pair.plan.name}: the {what} is {value}. The batch has {rows}, …; "
            "check these items, lower schedule.lr, set schedule.max_grad_norm, or use float32"
        )


class Stopwatch:
    """Measures throughput, in rows per second."""

    def __init__(self) -> None:
        self._since, self._rows = time.perf_counter(), 0

    def count(self, rows: int) -> None:
        """Add rows that were processed."""
        self._rows += rows

    def rows_per_second(self) -> float:
        """Return the throughput since the last call, and restart."""
        throughput = self._rows / max(time.perf_counter() - self._since, 1e-9)
        self.restart()
        return throughput

    def restart(self) -> None:
        """Forget what was counted, after something else took time."""
        self._since, self._rows = time.perf_counter(), 0


def _seed_of(seed: int, step: int, rank: int) -> int:
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> 1)


def _seed_generators(seed: int, device: torch.device) -> None:
    """Do what `torch.manual_seed` does, without a millisecond for devices that aren't used."""
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        getattr(torch, device.type).manual_seed(seed)
