"""Dry run of a recipe: prepare a few rows, take two steps of each pair, validate, estimate time."""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from openbind.configs import to_dict
from openbind.data.loader import Batch, CachedFeatures
from openbind.errors import ConfigError
from openbind.space.space import Space
from openbind.training.distributed import World, join_world
from openbind.training.emergence import Probe, prepare_probes
from openbind.training.overhead import measure_overhead
from openbind.training.pair_state import PairState, Preparation, prepare_pair
from openbind.training.recipe import Recipe
from openbind.training.recipe_file import check_names
from openbind.training.result import finished_space
from openbind.training.run import PreparedRun, prepare_run
from openbind.training.samples import write_samples
from openbind.training.towers import trained_names
from openbind.training.trackers import require_loggers
from openbind.training.trainer import Trainer

SAMPLED_ROWS = 8
"""Rows of each pair that are prepared, trained on and validated."""
STEP_SECONDS = 5.0
"""What a step that is timed may take: it has as much of the recipe's batch as fits."""


@dataclass(frozen=True, kw_only=True)
class PairReport:
    """Dry run of one pair.

    Args:
        pair: its name.
        rows, held_rows: training and validation rows.
        anchors, views: frozen items, and embeddings of each.
        shape: of a decoded batch.
        low, mean, high: minimum, mean and maximum of its values.
        examples: keys of its rows.
        skipped: items of the sample that can't be used, and why.
        parameters, trained: of the tower; how many of them are trained.
        loss: of the second step.
        seconds_once: estimate for embedding the frozen side, and for features of a frozen body.
        seconds_to_read, seconds_to_learn: for one row each, on one core and on the device.
        batches: of one epoch.
        reads_once: only a head is trained, on cached features.
    """

    pair: str
    rows: int
    held_rows: int
    anchors: int
    views: int
    shape: tuple[int, ...]
    low: float
    mean: float
    high: float
    examples: tuple[str, ...]
    skipped: tuple[str, ...]
    parameters: int
    trained: int
    loss: float
    seconds_once: float
    seconds_to_read: float
    seconds_to_learn: float
    batches: int
    reads_once: bool

    def seconds_per_row(self, num_workers: int, device: str = "cpu") -> float:
        """Estimate the time of a step per row; workers read while a GPU learns.

        On a CPU they take the cores that the network learns on.
        """
        if num_workers == 0:
            return self.seconds_to_read + self.seconds_to_learn
        if device == "cpu":
            return self.seconds_to_read / _cores() + self.seconds_to_learn
        return max(self.seconds_to_read / min(num_workers, _cores()), self.seconds_to_learn)

    def __str__(self) -> str:
        lines = [
            f"{self.pair}: {self.rows:,} training rows, {self.held_rows:,} validation rows; "
            f"{self.anchors:,} frozen items × {self.views} views",
            f"  batch {self.shape}, values {self.low:.3g} to {self.high:.3g}, mean "
            f"{self.mean:.3g}: {', '.join(self.examples)}",
            f"  tower: {self.parameters:,} parameters, {self.trained:,} trained; "
            f"loss {self.loss:.3g}",
        ]
        return "\n".join(lines + [f"  skipped: {text}" for text in self.skipped])


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """Dry run of a recipe.

    Args:
        name: of the recipe.
        pairs: reports of its pairs.
        steps: of the run.
        once_seconds: estimate for what is computed once: the frozen sides, and a frozen body's
            features; less if they are cached already.
        step_seconds: estimate for all steps.
        validations: how often the run validates, the result included.
        validation_seconds: estimate for all of them.
        other_seconds: estimate for loading, checkpoints and writing the result.
    """

    name: str
    pairs: tuple[PairReport, ...]
    steps: int
    once_seconds: float
    step_seconds: float
    validations: int
    validation_seconds: float
    other_seconds: float

    @property
    def total_seconds(self) -> float:
        """The estimate for the whole run."""
        once, validation = self.once_seconds, self.validation_seconds
        return once + self.step_seconds + validation + self.other_seconds

    def to_dict(self) -> dict[str, object]:
        """Return plain values, for JSON."""
        values: dict[str, object] = to_dict(self)
        return values

    def __str__(self) -> str:
        lines = [str(pair) for pair in self.pairs]
        lines.append(
            f"{self.name}: {self.steps:,} steps; about {_duration(self.total_seconds)} on this "
            f"machine: {_duration(self.once_seconds)} for what is frozen (once), "
            f"{_duration(self.step_seconds)} for the steps, {_duration(self.validation_seconds)} "
            f"for {self.validations:,} validations, {_duration(self.other_seconds)} for loading "
            "and writing"
        )
        return "\n".join(lines)


def check_recipe(recipe: Recipe, root: Path) -> CheckReport:
    """Run a recipe on a few rows of each pair, on its device.

    Nothing is written but the listing of the rows in the cache, which the run then reads.

    Args:
        recipe: to be tried.
        root: data folder.

    Raises:
        ConfigError, InputError, MissingExtraError, TrainingError: what would stop the run.
    """
    check_names(recipe)
    require_loggers(recipe.logging)
    hardware = recipe.hardware
    with join_world(hardware.device, hardware.embed_batch_size, hardware.decoders) as world:
        run = prepare_run(recipe, root, None, world, progress=False, limit=SAMPLED_ROWS)
        few = replace(recipe, logging=replace(recipe.logging, validation_rows=SAMPLED_ROWS))
        probes = prepare_probes(few, run.space, root, run.pairs, world)
        reports = tuple(
            _try_pair(_time_again(index, pair, recipe, run, root, world), recipe, run, world)
            for index, pair in enumerate(run.pairs)
        )
        measuring = _time_validation(recipe, run, probes, world)
        device = world.device.type
        overhead = measure_overhead(recipe, run, run.loading_seconds, world)
    batches, together = [report.batches for report in reports], recipe.each_step == "all"
    epoch = max(batches) if together else sum(batches)
    steps = recipe.schedule.total_steps(epoch)
    seconds = [
        report.seconds_per_row(hardware.num_workers, device)
        * (plan.batch_size or recipe.batch_size)
        for report, plan in zip(reports, recipe.pairs, strict=True)
    ]
    mean = sum(s * b for s, b in zip(seconds, batches, strict=True)) / sum(batches)
    # Every so many steps, after the last one, and for the card.
    validate_every = recipe.logging.validate_every or epoch
    validations = -(-steps // validate_every) + 1
    checkpoints = -(-steps // (recipe.logging.save_every or validate_every))
    return CheckReport(
        name=recipe.name,
        pairs=reports,
        steps=steps,
        once_seconds=sum(report.seconds_once for report in reports),
        step_seconds=steps * (sum(seconds) if together else mean),
        validations=validations,
        validation_seconds=validations * measuring,
        other_seconds=overhead.of_run(checkpoints),
    )


def _time_again(
    index: int, pair: PairState, recipe: Recipe, run: PreparedRun, root: Path, world: World
) -> PairState:
    """Prepare a pair's sample once more: the first time, libraries were loaded and warmed up."""
    given = Preparation(recipe, run.space, root, world, None, SAMPLED_ROWS)
    again = prepare_pair(index, pair.plan, run.trained_towers[pair.plan.pair[1]], given)
    return replace(
        pair,
        frozen_seconds=min(pair.frozen_seconds, again.frozen_seconds),
        features_seconds=min(pair.features_seconds, again.features_seconds),
    )


def _try_pair(pair: PairState, recipe: Recipe, run: PreparedRun, world: World) -> PairReport:
    """Take a few steps of a pair, and validate."""
    rows = len(pair.table.rows)
    if rows < 2:
        raise ConfigError(f"{pair.plan.name}: of {SAMPLED_ROWS} rows {rows} can be used")
    alone = replace(pair, plan=replace(pair.plan, batch_size=None))
    trainer = Trainer(_shrink(recipe, rows), [alone], run.trained_towers, world)
    batch, reading = _read(trainer)
    loss, learning = _time_steps(trainer, batch, pair.plan.batch_size or recipe.batch_size)
    counts, reads_once = pair.counts, isinstance(pair.side, CachedFeatures)
    # The frozen side of validation is embedded, too.
    held_out = min(counts.held_out, recipe.logging.validation_rows)
    once = pair.frozen_seconds * (counts.anchors + held_out) / len(pair.table.anchors)
    once += pair.features_seconds * counts.rows / rows if reads_once else 0
    tower = run.trained_towers[pair.plan.pair[1]].tower
    trained = set(trained_names(tower))
    skipped = [*pair.skipped, *batch.skipped]
    return PairReport(
        pair=pair.plan.name,
        rows=counts.rows,
        held_rows=counts.held_out,
        anchors=counts.anchors,
        views=pair.plan.views.count,
        shape=tuple(batch.inputs.shape),
        low=float(batch.inputs.float().min()),
        mean=float(batch.inputs.float().mean()),
        high=float(batch.inputs.float().max()),
        examples=tuple(pair.table.rows[draw.row].key for draw in batch.draws[:3]),
        skipped=tuple(f"{item.item}: {item.reason}" for item in skipped),
        parameters=sum(p.numel() for p in tower.parameters()),
        trained=sum(p.numel() for name, p in tower.named_parameters() if name in trained),
        loss=loss,
        seconds_once=once,
        seconds_to_read=reading,
        seconds_to_learn=learning,
        batches=pair.batches_per_epoch(recipe.batch_size),
        reads_once=reads_once,
    )


def _time_steps(trainer: Trainer, batch: Batch, batch_size: int) -> tuple[float, float]:
    """Take steps on a batch, then on as many copies of its rows as the recipe's batch has.

    A larger batch takes less time a row; one that would take too long is tried in part.

    Returns:
        the loss of the second step, and the seconds of a row.
    """
    size = len(batch.draws)
    loss, seconds = 0.0, 0.0
    for step, rows in enumerate((size, size, 0, 0)):
        if step == 2:
            rows = max(size, min(batch_size, int(size * STEP_SECONDS / max(seconds, 1e-6))))
            copies = [index % size for index in range(rows)]
            batch = replace(batch, inputs=batch.inputs[copies], draws=batch.draws[copies])
        started = time.perf_counter()
        result = trainer.take_step(step % trainer.steps, [batch])
        seconds = time.perf_counter() - started
        loss = result.loss if step == 1 else loss
    return loss, seconds / len(batch.draws)


def _time_validation(
    recipe: Recipe, run: PreparedRun, probes: Sequence[Probe], world: World
) -> float:
    """Validate on the samples; return the seconds that all of a run's validation rows take once."""
    if not probes and not any(pair.validation for pair in run.pairs):
        return 0.0
    towers = run.trained_towers
    started = time.perf_counter()
    weights = {modality: tower.validation_state() for modality, tower in towers.items()}
    scales = dict.fromkeys(towers, 1.0)
    space = finished_space(run.space, recipe.name, towers, weights, scales)
    seconds = time.perf_counter() - started
    limit = recipe.logging.validation_rows
    for pair in run.pairs:
        if pair.validation is not None:
            rows = min(pair.counts.held_out, limit) / len(pair.validation.table.rows)
            seconds += rows * _shortest(partial(pair.measure, space, world))
            seconds += _time_samples(pair, space, recipe.logging.samples, world)
    for probe in probes:
        # Those of a pair are a sample already.
        own = [p.counts.held_out for p in run.pairs if p.plan.pair[1] in probe.plan.pair]
        every = probe.rows if probe.plan.data is not None else max(own)
        rows = min(every, limit) / len(probe.held_out.table.rows)
        seconds += rows * _shortest(partial(probe.measure, space, world))
    return seconds


def _time_samples(pair: PairState, space: Space, samples: int, world: World) -> float:
    """Draw what rows retrieve; return the seconds of all that a validation draws."""
    found = pair.measure(space, world, samples) if samples else None
    if found is None or not world.is_first:
        return 0.0
    with tempfile.TemporaryDirectory(prefix="openbind-") as folder:
        started = time.perf_counter()
        write_samples(Path(folder) / "samples.jpg", found.examples)
        return (time.perf_counter() - started) * samples / len(found.examples)


def _shortest(measure: Callable[[], object]) -> float:
    """Return the seconds of the faster of two calls: the first one warms up."""
    seconds = math.inf
    for _ in range(2):
        started = time.perf_counter()
        measure()
        seconds = min(seconds, time.perf_counter() - started)
    return seconds


def _shrink(recipe: Recipe, rows: int) -> Recipe:
    """Return a recipe for batches of a few rows, read in this process."""
    size = min(recipe.batch_size, rows)
    part = recipe.hardware.micro_batch
    if part is not None and part < recipe.batch_size:
        part = max(1, min(part, size // 2))
    hardware = replace(recipe.hardware, num_workers=0, micro_batch=part)
    return replace(recipe, batch_size=size, hardware=hardware)


def _read(trainer: Trainer) -> tuple[Batch, float]:
    """Read a batch, twice if there are two; returns the first and the seconds of a row."""
    batches, seconds = [], math.inf
    found = trainer.batches(0)
    for _ in range(min(2, trainer.steps)):
        started = time.perf_counter()
        batches += next(found)
        seconds = min(seconds, time.perf_counter() - started)
    return batches[0], seconds / len(batches[0].draws)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
