"""A run: prepare its pairs, loop over steps, validate and save, write the resulting space."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from openbind.catalog import load
from openbind.checkpoints import native
from openbind.configs import to_dict
from openbind.data.loader import Batch, SkippedItem
from openbind.errors import ConfigError
from openbind.space.space import Space
from openbind.training.best import Best, require_metric
from openbind.training.distributed import (
    World,
    full_optimizer_state,
    gather_objects,
    join_world,
    load_full_optimizer_state,
    load_full_state,
)
from openbind.training.emergence import prepare_probes
from openbind.training.features import join_features
from openbind.training.log import RunLog, SkippedLog, flatten
from openbind.training.pair_state import PairState, Preparation, prepare_pair
from openbind.training.recipe import Recipe
from openbind.training.recipe_file import check_names
from openbind.training.result import (
    check_license,
    finished_space,
    write_adapters,
    write_card,
)
from openbind.training.resuming import open_folder
from openbind.training.samples import write_samples
from openbind.training.state import RunFolder, keep_as_best, load_state, save_state
from openbind.training.trackers import open_trackers, require_loggers
from openbind.training.trained_tower import TrainedTower
from openbind.training.trainer import StepResult, Stopwatch, Trainer
from openbind.training.validation import Validation

Weights = Mapping[str, Mapping[str, Any]]
"""Modality → whole weights of its tower."""


def train(
    recipe: Recipe,
    data: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    progress: bool = False,
) -> Path | None:
    """Run a recipe; the processes that torchrun starts share the work.

    Args:
        recipe: from `read_recipe`, or built.
        data: folder that the recipe's relative paths of data start from.
        output: the run's folder; None is `runs/<name>`.
        resume: continue from the last checkpoint in it.
        progress: show bars on stderr.

    Returns:
        the run's folder, which `openbind.load` accepts; None in all processes but the first.

    Raises:
        ConfigError, InputError: recipe and data don't fit each other, or `output` has a run and
            `resume` isn't set.
        TrainingError: the loss is NaN or infinite.
        CheckpointError: a checkpoint can't be read or written.
        MissingExtraError: a logger that the recipe names isn't installed.
    """
    check_names(recipe)
    require_loggers(recipe.logging)
    folder = RunFolder(Path(output) if output is not None else Path("runs") / recipe.name)
    hardware = recipe.hardware
    with join_world(hardware.device, hardware.embed_batch_size, hardware.decoders) as world:
        state = open_folder(folder, recipe, resume, world)
        # Without a name: a shared network that outlives its process group can abort at exit.
        _Run(recipe, Path(data), folder, world, progress and world.is_first).run(state)
        return folder.path if world.is_first else None


@dataclass(frozen=True)
class PreparedRun:
    """All that a run needs before its first step.

    Args:
        space: the frozen towers.
        trained_towers: modality → its tower.
        pairs: in the recipe's order.
        loading_seconds: what loading the towers took.
    """

    space: Space
    trained_towers: dict[str, TrainedTower]
    pairs: list[PairState]
    loading_seconds: float = 0.0


def prepare_run(
    recipe: Recipe,
    root: Path,
    folder: RunFolder | None,
    world: World,
    progress: bool,
    limit: int | None = None,
) -> PreparedRun:
    """Load the towers and prepare the pairs; all processes must call.

    Args:
        recipe: of the run.
        root: data folder.
        folder: of the run; None saves nothing.
        world: the processes.
        progress: show bars on stderr.
        limit: rows of each pair that are prepared, for a dry run; None is all.

    Raises:
        ConfigError, InputError: recipe and data don't fit each other.
    """
    started = time.perf_counter()
    space = load_start(recipe, world)
    origin = load_origin(recipe, space, world)
    towers = {
        modality: TrainedTower(plan, modality, origin, recipe.seed, world.device)
        for modality, plan in recipe.towers.items()
    }
    loading = time.perf_counter() - started
    given = Preparation(recipe, space, root, world, folder, limit, progress)
    pairs = [
        prepare_pair(index, plan, towers[plan.pair[1]], given)
        for index, plan in enumerate(recipe.pairs)
    ]
    for modality, tower in towers.items():
        cached = None
        if tower.plan.train == "head":
            own = [pair for pair in pairs if pair.plan.pair[1] == modality]
            cached = join_features([pair.cached_pairs() for pair in own], tower.plan.head)
        tower.begin(recipe.hardware, world, recipe.schedule.ema_decay, cached)
    return PreparedRun(space, towers, pairs, loading)


class _Run:
    def __init__(
        self, recipe: Recipe, root: Path, folder: RunFolder, world: World, progress: bool
    ) -> None:
        self.recipe, self.folder, self.world, self.progress = recipe, folder, world, progress
        run = prepare_run(recipe, root, folder, world, progress)
        self.space, self.pairs, self.names = run.space, run.pairs, recipe.pair_names()
        self.probes = prepare_probes(recipe, run.space, root, run.pairs, world)
        self.trainer = Trainer(recipe, run.pairs, run.trained_towers, world)
        self.validate_every = recipe.logging.validate_every or self.trainer.steps_per_epoch
        self.save_every = recipe.logging.save_every or self.validate_every
        self.skipped = SkippedLog(folder.skipped) if world.is_first else None
        self.best = Best.of(recipe.logging)
        if self.best.metric is not None:
            require_metric(self.best.metric, self._metrics())

    def _metrics(self) -> list[str]:
        """Return the tags of the numbers that a validation logs."""
        held = {
            name: dict.fromkeys(pair.validation.metrics(pair.plan.pair), 0.0)
            for name, pair in zip(self.names, self.pairs, strict=True)
            if pair.validation is not None
        }
        probes = {
            probe.plan.name: dict.fromkeys(probe.held_out.metrics(probe.plan.pair), 0.0)
            for probe in self.probes
        }
        known = flatten({"validation": held, "emergence": probes})
        together = self.recipe.each_step == "all" or len(self.names) == 1
        return [*known, *([f"{'+'.join(self.names)}/loss"] if together and known else [])]

    def run(self, state: dict[str, Any] | None) -> None:
        """Take the remaining steps, and write the result."""
        start = self._restore(state)
        self._write_skipped([item for pair in self.pairs for item in pair.skipped])
        with self._open_log(start) as log:
            self._loop(start, log)
        self._finish()

    def _open_log(self, start: int) -> Any:
        if not self.world.is_first:
            return nullcontext()
        return RunLog(
            self.folder,
            steps=self.trainer.steps,
            start=start,
            progress=self.progress,
            name=self.recipe.name,
            trackers=open_trackers(self.recipe.logging, self.recipe.name, self.folder),
        )

    def _loop(self, start: int, log: RunLog | None) -> None:
        """Take steps; log, validate and save in the recipe's intervals and after the last one."""
        steps, clock = self.trainer.steps, Stopwatch()
        skipped: list[SkippedItem] = []
        for step, batches in zip(range(start, steps), self.trainer.batches(start), strict=False):
            if self.best.stops:
                break
            result = self.trainer.take_step(step, batches)
            clock.count(sum(len(batch.draws) for batch in batches) * self.world.size)
            skipped += result.skipped
            done, is_last = step + 1, step + 1 == steps
            validates = is_last or done % self.validate_every == 0
            logs = validates or done % self.recipe.logging.log_every == 0
            numbers = self._numbers(batches, result, clock) if logs else None
            if log is not None:
                log.step(done, numbers)
            is_best = validates and self._validate(done, numbers or {}, log)
            if validates:
                clock.restart()  # rows per second are those of the steps
            saves = is_last or is_best or self.best.stops or done % self.save_every == 0
            # Alone at every step; with several processes where they exchange data anyway, and
            # before each checkpoint, after which these steps aren't repeated.
            if self.world.size == 1 or logs or saves:
                self._write_skipped(skipped)
                skipped = []
            if saves:
                self._save(done, is_best)

    def _numbers(
        self, batches: Sequence[Batch], result: StepResult, clock: Stopwatch
    ) -> dict[str, Any]:
        names = [self.names[batch.draws.pair] for batch in batches]
        several = {"losses": list(result.losses)} if len(batches) > 1 else {}
        return {
            "pair": "+".join(dict.fromkeys(names)),
            "loss": result.loss,
            **several,
            "lr": result.lr,
            "scale": result.scale,
            "grad_norm": result.grad_norm,
            "rows_per_second": clock.rows_per_second(),
        }

    def _validate(self, done: int, numbers: Mapping[str, Any], log: RunLog | None) -> bool:
        """Measure retrieval, draw what is retrieved; return whether it is the best so far."""
        found = self._measure(self._current_weights(), self.world)
        if not found.numbers():
            return False
        is_best = self.best.judge(done, flatten(numbers) | flatten(found.numbers()), found.mean)
        if log is not None:
            log.write(done, found.numbers())
            for name, result in found.pairs.items():
                if result.examples:
                    path = self.folder.samples / f"{done:07d}-{name}.jpg"
                    write_samples(path, result.examples)
        # Processors may round differently: the first process decides for all.
        decision = torch.tensor([int(is_best), self.best.stale], device=self.world.device)
        agreed, self.best.stale = map(int, self.world.gather(decision)[0])
        return bool(agreed)

    def _save(self, done: int, is_best: bool) -> None:
        """Write a checkpoint; all processes must call, the first writes."""
        trainer, towers = self.trainer, self.trainer.trained_towers
        averages = {name: tower.average_state() for name, tower in towers.items()}
        state = {
            "step": done,
            "recipe": json.dumps(to_dict(self.recipe)),
            "towers": {name: tower.state() for name, tower in towers.items()},
            "averages": {name: value for name, value in averages.items() if value is not None},
            "losses": [loss.state_dict() for loss in trainer.losses],
            "optimizer": full_optimizer_state(trainer.model, trainer.optimizer),
            "best": self.best.state(),
        }
        if self.world.is_first:
            save_state(self.folder.last, state)
            if is_best:
                keep_as_best(self.folder)
        self.world.wait()

    def _restore(self, state: dict[str, Any] | None) -> int:
        """Load a checkpoint; return the number of steps that were taken."""
        if state is None:
            return 0
        for name, tower in self.trainer.trained_towers.items():
            load_full_state(tower.net, state["towers"][name])
            if tower.average is not None:
                load_full_state(tower.average.module, state["averages"][name])
                tower.average.n_averaged.fill_(state["step"])
        self._restore_losses(state)
        load_full_optimizer_state(self.trainer.model, self.trainer.optimizer, state["optimizer"])
        self.best.restore(state["best"])
        if int(state["step"]) > self.trainer.steps:
            raise ConfigError(
                f"schedule: {self.trainer.steps} steps, but the run has taken {state['step']}; "
                "choose a greater length, or start again with another --output"
            )
        return int(state["step"])

    def _restore_losses(self, state: dict[str, Any]) -> None:
        for loss, values in zip(self.trainer.losses, state["losses"], strict=True):
            loss.load_state_dict(values)

    def _write_skipped(self, items: Sequence[SkippedItem]) -> None:
        """Write the items that any process skipped; all processes must call."""
        found = gather_objects(list(items), self.world)
        if self.skipped is not None:
            self.skipped.write(item for part in found for item in part)

    def _finish(self) -> None:
        """Write the resulting space with its card; all processes must call."""
        keeps_best = self.recipe.logging.keep == "best" and self.folder.best.is_file()
        if not keeps_best:
            weights = self._current_weights()
            results = self._measure(weights, self.world)
        elif self.world.is_first:
            state = load_state(self.folder.best)
            self._restore_losses(state)
            weights = {**state["towers"], **state["averages"]}
            results = self._measure(weights, replace(self.world, rank=0, size=1))
        if self.world.is_first:
            self._write_space(weights, results)
        self.world.wait()

    def _current_weights(self) -> Weights:
        towers = self.trainer.trained_towers
        return {modality: tower.validation_state() for modality, tower in towers.items()}

    def _measure(self, weights: Weights, world: World) -> Validation:
        """Measure retrieval on the validation rows; all processes of the world must call."""
        space, examples = self._extend(self.space, weights), self.recipe.logging.samples
        results = {
            name: pair.measure(space, world, examples)
            for name, pair in zip(self.names, self.pairs, strict=True)
        }
        return Validation(
            pairs={name: result for name, result in results.items() if result is not None},
            emergence={probe.plan.name: probe.measure(space, world) for probe in self.probes},
        )

    def _extend(self, start: Space, weights: Weights) -> Space:
        scales: dict[str, float] = {}
        for pair, loss in zip(self.pairs, self.trainer.losses, strict=True):
            # A modality has one scale: that of the first of its pairs.
            scales.setdefault(pair.plan.pair[1], float(loss.scale.detach()))
        return finished_space(start, self.recipe.name, self.trainer.trained_towers, weights, scales)

    def _write_space(self, weights: Weights, found: Validation) -> None:
        start = load(
            self.recipe.start, device="cpu", dtype=torch.float32, anchor=self.recipe.anchor
        )
        start.config = replace(start.config, dtype=self.space.config.dtype)
        space = self._extend(start, weights).to("cpu")
        rows = sum(len(pair.table.rows) for pair in self.pairs)
        results = [*found.pairs.values(), *found.emergence.values()]
        space.card = write_card(space, self.recipe, start, results, rows)
        write_adapters(self.folder, start, space, self.trainer.trained_towers, weights)
        native.save(space, self.folder.space, dtype=getattr(torch, self.recipe.dtype))


def load_start(recipe: Recipe, world: World) -> Space:
    """Load the frozen towers of a run, in the precision that they compute in.

    Raises:
        ConfigError: the recipe states a license that permits more than theirs.
    """
    probed = {name for probe in recipe.logging.emergence for name in probe.pair}
    paired = {name for plan in recipe.pairs for name in plan.frozen()}
    frozen = sorted(paired | (probed - recipe.towers.keys()))
    start = load(recipe.start, modalities=frozen, device=str(world.device), anchor=recipe.anchor)
    check_license(recipe, start)
    return start


def load_origin(recipe: Recipe, space: Space, world: World) -> Space:
    """Load the towers that training starts from, in float32; `space` if all are from scratch."""
    tuned = sorted(name for name, plan in recipe.towers.items() if plan.start == "space")
    if not tuned:
        return space
    return load(
        recipe.start,
        modalities=tuned,
        device=str(world.device),
        dtype=torch.float32,
        anchor=recipe.anchor,
    )
