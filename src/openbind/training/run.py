"""A run from a recipe to a space on disk, and how it goes on after it was stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from openbind.atomic import atomic_path
from openbind.catalog import load
from openbind.checkpoints import native
from openbind.configs import to_dict
from openbind.data.loader import SkippedItem
from openbind.errors import ConfigError
from openbind.space.space import Space
from openbind.training.distributed import (
    World,
    full_optimizer_state,
    join_world,
    load_full_optimizer_state,
    load_full_state,
)
from openbind.training.features import join_features
from openbind.training.log import RunLog, read_log
from openbind.training.pair_state import PairState, Preparation, prepare_pair
from openbind.training.plots import draw_curves
from openbind.training.recipe import Recipe
from openbind.training.recipe_file import check_names, write_recipe
from openbind.training.result import finished_space, write_card
from openbind.training.state import RunFolder, keep_as_best, load_state, save_state
from openbind.training.trained_tower import TrainedTower
from openbind.training.trainer import Stopwatch, Trainer
from openbind.training.validation import Retrieval

WATCHING = ("hardware", "logging", "card")
"""Parts of a recipe that may change between a run and its resumption."""


def train(
    recipe: Recipe,
    data: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    progress: bool = False,
) -> Path | None:
    """Train what a recipe says.

    Started by torchrun, the processes share the work.

    Args:
        recipe: from `read_recipe`, or built.
        data: folder that the recipe's relative paths of data start from.
        output: the run's folder; None makes it `runs/<name>`.
        resume: go on from the last checkpoint in it.
        progress: show bars on stderr.

    Returns:
        the run's folder, which `openbind.load` takes; None in all processes but the first.

    Raises:
        ConfigError, InputError: the recipe and the data don't go together, or a run lies in
            `output` and `resume` wasn't said.
        TrainingError: the loss is no number.
        CheckpointError: a checkpoint can't be read or written.
    """
    check_names(recipe)
    folder = RunFolder(Path(output) if output is not None else Path("runs") / recipe.name)
    with join_world(recipe.hardware.device) as world:
        state = _open_folder(folder, recipe, resume, world)
        # Kept by no name: a shared network that outlives its process group can abort at exit.
        _Run(recipe, Path(data), folder, world, progress and world.is_first).run(state)
        return folder.path if world.is_first else None


@dataclass(frozen=True)
class PreparedRun:
    """All that a run needs before its first step.

    Args:
        space: the frozen towers.
        trained_towers: modality → its tower.
        pairs: in the recipe's order.
    """

    space: Space
    trained_towers: dict[str, TrainedTower]
    pairs: list[PairState]


def prepare_run(
    recipe: Recipe,
    root: Path,
    folder: RunFolder | None,
    world: World,
    progress: bool,
    limit: int | None = None,
) -> PreparedRun:
    """Load the towers and prepare the pairs.

    Args:
        recipe: of the run.
        root: data folder.
        folder: of the run; None saves nothing.
        world: the processes.
        progress: show bars on stderr.
        limit: rows of each pair that are prepared, for a dry run; None is all.

    Raises:
        ConfigError, InputError: the data can't be used as the recipe says.
    """
    space = load_start(recipe, world)
    given = Preparation(recipe, space, root, world, folder, limit, progress)
    origin = load_origin(recipe, space)
    towers = {
        modality: TrainedTower(plan, modality, origin, recipe.seed)
        for modality, plan in recipe.towers.items()
    }
    pairs = [
        prepare_pair(index, plan, towers[plan.pair[1]], given)
        for index, plan in enumerate(recipe.pairs)
    ]
    for modality, tower in towers.items():
        kept = None
        if tower.plan.train == "head":
            own = [pair for pair in pairs if pair.plan.pair[1] == modality]
            kept = join_features([pair.cached_pairs() for pair in own])
        tower.begin(recipe.hardware, world, recipe.schedule.ema_decay, kept)
    return PreparedRun(space, towers, pairs)


class _Run:
    def __init__(
        self, recipe: Recipe, root: Path, folder: RunFolder, world: World, progress: bool
    ) -> None:
        self.recipe, self.folder, self.world, self.progress = recipe, folder, world, progress
        self.prepared = prepare_run(recipe, root, folder, world, progress)
        self.pairs = self.prepared.pairs
        self.trainer = Trainer(recipe, self.pairs, self.prepared.trained_towers, world)
        logging, epoch = recipe.logging, self.trainer.steps_per_epoch
        self.validate_every = logging.validate_every or epoch
        self.save_every = logging.save_every or self.validate_every
        self.best: tuple[float, int] | None = None

    def run(self, state: dict[str, Any] | None) -> None:
        """Take the steps that are left, and write the result."""
        start = self._restore(state)
        if self.world.is_first:
            self._write_skipped([item for pair in self.pairs for item in pair.skipped])
        with self._log(start) as log:
            self._loop(start, log)
        self._finish()

    def _log(self, start: int) -> Any:
        if not self.world.is_first:
            return nullcontext()
        return RunLog(
            self.folder,
            steps=self.trainer.steps,
            start=start,
            progress=self.progress,
            wandb=self.recipe.logging.wandb,
            name=self.recipe.name,
        )

    def _loop(self, start: int, log: RunLog | None) -> None:
        logging, steps, clock = self.recipe.logging, self.trainer.steps, Stopwatch()
        for step, batch in zip(range(start, steps), self.trainer.batches(start), strict=False):
            result = self.trainer.take_step(step, batch)
            clock.count(self.recipe.batch_size)
            done = step + 1
            if log is not None:
                self._write_skipped(result.skipped)
                numbers = None
                if done % logging.log_every == 0 or done == steps:
                    numbers = {
                        "pair": self.pairs[batch.draws[0].pair].plan.name,
                        "loss": result.loss,
                        "lr": result.lr,
                        "scale": result.scale,
                        "grad_norm": result.grad_norm,
                        "rows_per_second": clock.rows_per_second(),
                    }
                log.step(done, numbers)
            better = False
            if done % self.validate_every == 0 or done == steps:
                better = self._validate(done, log)
            if done % self.save_every == 0 or done == steps or better:
                self._save(done, better)

    def _validate(self, done: int, log: RunLog | None) -> bool:
        """Measure retrieval; returns whether it is the best so far."""
        if all(pair.validation is None for pair in self.pairs):
            return False
        space = self._current_space(self.prepared.space)
        better = False
        if space is not None and log is not None:
            results = self._measure(space)
            log.write(done, {"validation": {"-".join(r.pair): r.recall for r in results}})
            score = sum(result.score for result in results) / len(results)
            better = self.best is None or score > self.best[0]
            if better:
                self.best = (score, done)
        return bool(self.world.gather(torch.tensor(better, device=self.world.device))[0])

    def _measure(self, space: Space) -> list[Retrieval]:
        space.to(self.world.device)
        results = (pair.measure(space, World(device=self.world.device)) for pair in self.pairs)
        return [result for result in results if result is not None]

    def _current_space(self, start: Space, state: dict[str, Any] | None = None) -> Space | None:
        """Put the towers as they are now, or as a checkpoint has them, into a space.

        Returns:
            the space; None in all processes but the first.
        """
        towers = self.prepared.trained_towers
        if state is None:
            weights = {m: tower.average_state() or tower.state() for m, tower in towers.items()}
        else:
            weights = {m: state["averages"].get(m) or state["towers"][m] for m in towers}
        if not self.world.is_first:
            return None
        scales = {
            pair.plan.pair[1]: float(loss.scale.detach())
            for pair, loss in zip(self.pairs, self.trainer.losses, strict=True)
        }
        return finished_space(start, self.recipe.name, towers, weights, scales)

    def _save(self, done: int, best: bool) -> None:
        """Write a checkpoint; all processes take part, the first writes."""
        trained_towers, trainer = self.prepared.trained_towers, self.trainer
        averages = {
            name: trained_tower.average_state() for name, trained_tower in trained_towers.items()
        }
        state = {
            "step": done,
            "recipe": json.dumps(to_dict(self.recipe)),
            "towers": {
                name: trained_tower.state() for name, trained_tower in trained_towers.items()
            },
            "averages": {name: value for name, value in averages.items() if value is not None},
            "losses": [loss.state_dict() for loss in trainer.losses],
            "optimizer": full_optimizer_state(trainer.optimizer),
            "best": self.best,
        }
        if self.world.is_first:
            save_state(self.folder.last, state)
            if best:
                keep_as_best(self.folder)
        self.world.wait()

    def _restore(self, state: dict[str, Any] | None) -> int:
        """Put everything as a checkpoint has it; returns the step to go on with."""
        if state is None:
            return 0
        for name, trained_tower in self.prepared.trained_towers.items():
            load_full_state(trained_tower.net, state["towers"][name])
            if trained_tower.average is not None:
                load_full_state(trained_tower.average.module, state["averages"][name])
                trained_tower.average.n_averaged.fill_(state["step"])
        for loss, values in zip(self.trainer.losses, state["losses"], strict=True):
            loss.load_state_dict(values)
        load_full_optimizer_state(self.trainer.optimizer, state["optimizer"])
        self.best = None if state["best"] is None else tuple(state["best"])
        return int(state["step"])

    def _write_skipped(self, items: Sequence[SkippedItem]) -> None:
        """List items that couldn't be used, each once."""
        path = self.folder.skipped
        known = set(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else set()
        lines = [json.dumps(item.__dict__, ensure_ascii=False) for item in items]
        new = [line for line in dict.fromkeys(lines) if line not in known]
        if new:
            with path.open("a", encoding="utf-8") as file:
                file.write("\n".join(new) + "\n")

    def _finish(self) -> None:
        """Write the space with its card, and the curves."""
        keep_best = self.recipe.logging.keep == "best" and self.folder.best.is_file()
        state = load_state(self.folder.best) if keep_best else None
        if not self.world.is_first:
            self._current_space(self.prepared.space, state)
            self.world.wait()
            return
        whole = load(self.recipe.start, device="cpu", dtype=torch.float32)
        whole.config = replace(whole.config, dtype=self.prepared.space.config.dtype)
        space = self._current_space(whole, state)
        assert space is not None
        rows = sum(len(pair.table.rows) for pair in self.pairs)
        space.card = write_card(space, self.recipe, whole, self._measure(space), rows)
        space.to("cpu")
        native.save(space, self.folder.space, dtype=getattr(torch, self.recipe.dtype))
        draw_curves(read_log(self.folder.log), self.folder.curves)
        self.world.wait()


def load_start(recipe: Recipe, world: World) -> Space:
    """Load the frozen sides of a run, in the precision that they are used in."""
    frozen = sorted({plan.pair[0] for plan in recipe.pairs})
    return load(recipe.start, modalities=frozen, device=str(world.device))


def load_origin(recipe: Recipe, space: Space) -> Space:
    """Load the towers that a run goes on with, in full precision; or give the frozen sides."""
    tuned = sorted(name for name, plan in recipe.towers.items() if plan.start == "space")
    if not tuned:
        return space
    return load(recipe.start, modalities=tuned, device="cpu", dtype=torch.float32)


def _open_folder(
    folder: RunFolder, recipe: Recipe, resume: bool, world: World
) -> dict[str, Any] | None:
    """Make a run's folder, or read the checkpoint in it."""
    if resume and folder.last.is_file():
        state = load_state(folder.last)
        _require_same(json.loads(state["recipe"]), json.loads(json.dumps(to_dict(recipe))))
        return state
    if folder.last.is_file():
        raise ConfigError(
            f"{folder.path}: a run lies here; go on with it (--resume) or choose another --output"
        )
    if world.is_first:
        folder.path.mkdir(parents=True, exist_ok=True)
        for left_over in (folder.log, folder.skipped, *folder.vector_tables()):
            left_over.unlink(missing_ok=True)
        with atomic_path(folder.recipe) as temporary:
            temporary.write_text(write_recipe(recipe), encoding="utf-8")
    world.wait()
    return None


def _require_same(was: Any, now: Any, where: str = "") -> None:
    """Refuse to resume with a recipe that would learn something else."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in {**was, **now}:
            if where or key not in WATCHING:
                _require_same(was.get(key), now.get(key), f"{where}.{key}" if where else key)
    elif was != now:
        raise ConfigError(
            f"{where}: the run was started with {was!r}, the recipe says {now!r}; change it back, "
            "or start again with another --output"
        )
