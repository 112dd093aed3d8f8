"""A learning-rate range test: losses while the rate rises from step to step (arXiv 1506.01186)."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from openbind.atomic import atomic_path
from openbind.errors import TrainingError
from openbind.training.distributed import World, join_world
from openbind.training.recipe import Recipe
from openbind.training.recipe_file import check_names
from openbind.training.run import prepare_run
from openbind.training.trainer import Trainer

STEPS = 100
LOWEST, HIGHEST = 1e-7, 1.0
"""The rate is multiplied by the same factor at each step, from one to the other."""
SMOOTHING = 0.9
"""Of the moving average of the losses."""
DIVERGED = 2.0
"""The test ends when the smoothed loss is so many times its minimum."""
WIDTH, HEIGHT, MARGIN = 640, 360, 48
"""Pixels of the plot, and of what its axes are written in."""


@dataclass(frozen=True)
class RangeTest:
    """What a test measured.

    Args:
        rates: of the steps that were taken.
        losses: of each batch.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]

    def smoothed(self) -> list[float]:
        """Return the moving average of the losses, without the bias of its start."""
        average, found = 0.0, []
        for step, loss in enumerate(self.losses, 1):
            average = SMOOTHING * average + (1 - SMOOTHING) * loss
            found.append(average / (1 - SMOOTHING**step))
        return found

    def suggestion(self) -> float:
        """Return a tenth of the rate at which the smoothed loss is least, a customary peak."""
        smoothed = self.smoothed()
        return self.rates[smoothed.index(min(smoothed))] / 10

    def write_table(self, path: Path) -> None:
        """Write a CSV of rates, losses and smoothed losses."""
        with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["lr", "loss", "smoothed"])
            writer.writerows(zip(self.rates, self.losses, self.smoothed(), strict=True))

    def write_plot(self, path: Path) -> None:
        """Draw the losses over the logarithm of the rate, as SVG."""
        with atomic_path(path) as temporary:
            temporary.write_text(_plot(self), encoding="utf-8")


def find_lr(recipe: Recipe, data: Path, progress: bool = False) -> RangeTest | None:
    """Train for a hundred steps of rising learning rate; nothing is written.

    Args:
        recipe: of the run; its schedule's optimizer is used, its rate and length are not.
        data: folder that the recipe's relative paths of data start from.
        progress: show bars on stderr.

    Returns:
        what was measured; None in all processes but the first.

    Raises:
        ConfigError, InputError: recipe and data don't fit each other.
    """
    check_names(recipe)
    hardware = recipe.hardware
    with join_world(hardware.device, hardware.embed_batch_size, hardware.embed_workers) as world:
        found = _test(recipe, data, world, progress and world.is_first)
    return found if world.is_first else None


def _test(recipe: Recipe, data: Path, world: World, progress: bool) -> RangeTest:
    run = prepare_run(recipe, data, None, world, progress)
    trainer = Trainer(recipe, run.pairs, run.trained_towers, world, steps=STEPS)
    factor = (HIGHEST / LOWEST) ** (1 / (STEPS - 1))
    found = RangeTest((), ())
    bar = tqdm(range(STEPS), "range test", unit="step", disable=not progress)
    for step, batches in zip(bar, trainer.batches(0), strict=False):
        rate = LOWEST * factor**step
        try:
            loss = trainer.take_step(step, batches, lr=rate).loss
        except TrainingError:  # it has diverged beyond numbers
            break
        found = RangeTest((*found.rates, rate), (*found.losses, loss))
        smoothed = found.smoothed()
        if smoothed[-1] > DIVERGED * min(smoothed):
            break
    if not found.losses:
        raise TrainingError(f"the loss is infinite at the lowest rate, {LOWEST:g}")
    return found


def _plot(test: RangeTest) -> str:
    smoothed = test.smoothed()
    low, high = min((*test.losses, *smoothed)), max((*test.losses, *smoothed))
    logs = [math.log10(rate) for rate in test.rates]

    def at(value: float, loss: float) -> str:
        x = MARGIN + (value - logs[0]) / (logs[-1] - logs[0] or 1) * (WIDTH - 2 * MARGIN)
        y = HEIGHT - MARGIN - (loss - low) / (high - low or 1) * (HEIGHT - 2 * MARGIN)
        return f"{x:.1f},{y:.1f}"

    def line(losses: Sequence[float], style: str) -> str:
        points = " ".join(at(value, loss) for value, loss in zip(logs, losses, strict=True))
        return f'<polyline points="{points}" fill="none" {style}/>'

    def text(x: float, y: float, shown: str, anchor: str) -> str:
        return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{shown}</text>'

    decades = range(math.ceil(logs[0]), math.floor(logs[-1]) + 1)
    ticks = [(float(at(d, low).partition(",")[0]), f"1e{d}") for d in decades]
    x = float(at(math.log10(test.suggestion()), low).partition(",")[0])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        line(test.losses, 'stroke="#d0d7de"'),
        line(smoothed, 'stroke="#0969da" stroke-width="2"'),
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{MARGIN}" y2="{HEIGHT - MARGIN}" stroke="#1a7f37"/>',
        text(x, MARGIN - 8, f"{test.suggestion():.1e}", "middle"),
        *(text(place, HEIGHT - MARGIN + 18, name, "middle") for place, name in ticks),
        text(WIDTH / 2, HEIGHT - 8, "learning rate", "middle"),
        text(MARGIN - 6, HEIGHT - MARGIN, f"{low:.3g}", "end"),
        text(MARGIN - 6, MARGIN, f"{high:.3g}", "end"),
        "</svg>\n",
    ]
    return "\n".join(parts)
