"""A recipe tried on its data before hours are spent: one batch decoded, one step timed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from openbind.configs import to_dict
from openbind.data.augment import read_augmentations
from openbind.data.loader import AugmentedItems
from openbind.data.sampler import Draw, PairSize, Sampler
from openbind.data.table import PairTable, tabulate
from openbind.data.views import ViewPlan
from openbind.errors import ConfigError, InputError
from openbind.space.space import Space
from openbind.training.anchors import AnchorPlan, embed_anchors
from openbind.training.distributed import World
from openbind.training.heads import features, head_layer
from openbind.training.losses.info_nce import info_nce
from openbind.training.pair_state import read_pair
from openbind.training.recipe import PairPlan, Recipe
from openbind.training.recipe_file import check_names
from openbind.training.run import load_origin, load_start
from openbind.training.towers import trained_names
from openbind.training.trained_tower import TrainedTower

SAMPLED_ROWS = 8
"""Rows that are decoded and timed of each pair."""


@dataclass(frozen=True, kw_only=True)
class PairReport:
    """What was found of one pair.

    Args:
        pair: its name.
        rows, held_rows: that train, that validate.
        anchors, views: frozen items, and embeddings of each.
        shape: of a decoded batch.
        low, mean, high: of its values.
        examples: names of items in it.
        broken: items of the sample that can't be used, and why.
        parameters, trained: of the tower; how many of them are trained.
        seconds_per_anchor, seconds_to_read, seconds_to_learn: for one view; for one row each, on
            one core and on this device.
        batches: of one epoch.
        reads_once: each row is read once and its features are kept, since a head alone is trained.
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
    broken: tuple[str, ...]
    parameters: int
    trained: int
    seconds_per_anchor: float
    seconds_to_read: float
    seconds_to_learn: float
    batches: int
    reads_once: bool

    def __str__(self) -> str:
        lines = [
            f"{self.pair}: {self.rows:,} rows train, {self.held_rows:,} validate; "
            f"{self.anchors:,} frozen items × {self.views} views",
            f"  one batch {self.shape}, values {self.low:.3g} to {self.high:.3g}, mean "
            f"{self.mean:.3g}: {', '.join(self.examples)}",
            f"  tower: {self.parameters:,} parameters, {self.trained:,} trained",
        ]
        return "\n".join(lines + [f"  can't be used: {text}" for text in self.broken])


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """What a recipe would do.

    Args:
        name: of the recipe.
        pairs: what was found of each.
        steps: of the run.
        once_seconds: estimate for what is computed once: the frozen sides, and a frozen body's
            features; less where the cache has it already.
        step_seconds: estimate for all steps: the slower of reading and learning.
    """

    name: str
    pairs: tuple[PairReport, ...]
    steps: int
    once_seconds: float
    step_seconds: float

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        values: dict[str, object] = to_dict(self)
        return values

    def __str__(self) -> str:
        lines = [str(pair) for pair in self.pairs]
        lines.append(
            f"{self.name}: {self.steps:,} steps; about {_duration(self.once_seconds)} for what "
            f"is frozen (once) and {_duration(self.step_seconds)} for the steps, on this machine"
        )
        return "\n".join(lines)


def check_recipe(recipe: Recipe, root: Path) -> CheckReport:
    """Read the data, decode a few rows of each pair, embed a few frozen items, time one step.

    Nothing is trained or written.

    Args:
        recipe: to be tried.
        root: data folder.

    Raises:
        ConfigError, InputError: what would stop the run, now.
    """
    check_names(recipe)
    world = World(device=torch.device("cpu"))
    space = load_start(recipe, world)
    reports = tuple(_check_pair(plan, recipe, space, root, world) for plan in recipe.pairs)
    epoch = sum(report.batches for report in reports)
    steps = recipe.schedule.total_steps(epoch)
    once = sum(
        r.anchors * r.views * r.seconds_per_anchor
        + (r.rows * r.seconds_to_read if r.reads_once else 0)
        for r in reports
    )
    rows = sum(_seconds_per_row(r, recipe) * r.batches for r in reports) / epoch
    return CheckReport(
        name=recipe.name,
        pairs=reports,
        steps=steps,
        once_seconds=once,
        step_seconds=rows * recipe.batch_size * steps,
    )


def _seconds_per_row(report: PairReport, recipe: Recipe) -> float:
    """Workers read while the network learns; without workers one waits for the other."""
    workers, micro_batch = recipe.hardware.num_workers, recipe.hardware.micro_batch
    # Gradient caching runs forward twice: four thirds of the work of a step.
    cached = micro_batch is not None and micro_batch < recipe.batch_size
    learning = report.seconds_to_learn * (4 / 3 if cached else 1)
    if report.reads_once:
        return learning
    if workers == 0:
        return report.seconds_to_read + learning
    return max(report.seconds_to_read / workers, learning)


def _check_pair(
    plan: PairPlan, recipe: Recipe, space: Space, root: Path, world: World
) -> PairReport:
    frozen, other = plan.pair
    rows = read_pair(plan, root, recipe.seed)
    table = tabulate(rows.train, frozen, rows.others)
    trained_tower = TrainedTower(
        recipe.towers[other], other, load_origin(recipe, space), recipe.seed
    )
    inputs, broken, reading = _decode(plan, table, trained_tower, space, recipe)
    broken += rows.excluded
    chosen = table.anchors[:SAMPLED_ROWS]
    operations = read_augmentations(plan.augment.get(frozen, ()))
    once = AnchorPlan(modality=frozen, views=ViewPlan(), operations=operations, seed=recipe.seed)
    started = time.perf_counter()
    anchors = embed_anchors(space, once, chosen, None)
    per_anchor = (time.perf_counter() - started) / len(chosen)
    broken += list(anchors.broken.values())
    tower = trained_tower.tower
    trained = set(trained_names(tower))
    return PairReport(
        pair=plan.name,
        rows=len(rows.train),
        held_rows=len(rows.held),
        anchors=len(table.anchors),
        views=plan.views.count,
        shape=tuple(inputs.shape),
        low=float(inputs.float().min()),
        mean=float(inputs.float().mean()),
        high=float(inputs.float().max()),
        examples=tuple(row.key for row in table.rows[:3]),
        broken=tuple(broken),
        parameters=sum(p.numel() for p in tower.parameters()),
        trained=sum(p.numel() for name, p in tower.named_parameters() if name in trained),
        seconds_per_anchor=per_anchor,
        seconds_to_read=reading,
        seconds_to_learn=_time_learning(trained_tower, inputs, recipe, world),
        reads_once=trained_tower.plan.train == "head",
        batches=max(1, int(len(rows.train) * plan.repeat) // recipe.batch_size),
    )


def _decode(
    plan: PairPlan, table: PairTable, trained_tower: TrainedTower, space: Space, recipe: Recipe
) -> tuple[torch.Tensor, list[str], float]:
    """Read the first rows of the first batch; returns clips, what is broken, seconds a row."""
    size = PairSize(name=plan.name, anchors=table.choices, views=plan.views.count, weight=1)
    sampler = Sampler([size], batch_size=recipe.batch_size, steps=1, seed=recipe.seed)
    operations = read_augmentations(plan.augment.get(plan.pair[1], ()))
    settings, folder = trained_tower.settings, space.folder
    side = AugmentedItems(
        table, plan.pair[1], settings, folder, plan.views, operations, recipe.seed
    )
    clips, broken = [], []
    draws: Sequence[Draw] = sampler.batch(0)[:SAMPLED_ROWS]
    started = time.perf_counter()
    for draw in draws:
        try:
            clips.append(side.read(draw))
        except InputError as error:
            broken.append(str(error))
    seconds = (time.perf_counter() - started) / len(draws)
    if not clips:
        raise ConfigError(f"{plan.name}: none of {len(draws)} rows can be used; {broken[0]}")
    if len({clip.shape for clip in clips}) > 1:
        raise ConfigError(
            f"{plan.name}: clips differ in shape, {sorted({tuple(c.shape) for c in clips})}; "
            f"choose settings of towers.{plan.pair[1]} that give one shape"
        )
    return torch.stack(clips), broken, seconds


def _time_learning(
    trained_tower: TrainedTower, inputs: torch.Tensor, recipe: Recipe, world: World
) -> float:
    """Time forward and backward of a few rows, the second time round; seconds a row."""
    kept = None
    if trained_tower.plan.train == "head":
        inputs = features(trained_tower.tower, inputs)
        kept = inputs, inputs.new_zeros(len(inputs), head_layer(trained_tower.tower).out_features)
    trained_tower.begin(recipe.hardware, world, None, kept)
    seconds = 0.0
    for _ in range(2):
        started = time.perf_counter()
        with torch.autocast(
            world.device.type, torch.bfloat16, enabled=recipe.hardware.precision == "bfloat16"
        ):
            query_QE = trained_tower.embed(inputs)
        info_nce(query_QE, query_QE.detach(), 10.0).backward()
        seconds = time.perf_counter() - started
    return seconds / len(inputs)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
