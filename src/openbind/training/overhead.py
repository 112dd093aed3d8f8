"""What a run takes besides its steps: loading, checkpoints, and writing the result."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from openbind.catalog import load
from openbind.checkpoints import native
from openbind.training.distributed import World, full_optimizer_state
from openbind.training.optimization import build_optimizer
from openbind.training.recipe import Recipe
from openbind.training.run import PreparedRun
from openbind.training.state import save_state

WRITTEN_BYTES = 1 << 29
"""Of a space that is written to see how long it takes; for a larger one it is calculated."""


@dataclass(frozen=True)
class Overhead:
    """Seconds of a run besides its steps.

    Args:
        load: for loading the start, at the beginning and for the result.
        checkpoint: for one checkpoint.
        write: for the result.
    """

    load: float
    checkpoint: float
    write: float

    def of_run(self, checkpoints: int) -> float:
        """Return the seconds of a run that writes so many checkpoints."""
        return self.load + checkpoints * self.checkpoint + self.write


def measure_overhead(recipe: Recipe, run: PreparedRun, loading: float, world: World) -> Overhead:
    """Write a checkpoint and the starting space to a temporary folder; all processes must call.

    Args:
        recipe: of the run.
        run: prepared.
        loading: seconds that loading its towers took.
        world: the processes.
    """
    with tempfile.TemporaryDirectory(prefix="openbind-") as name:
        started = time.perf_counter()
        size = _write_checkpoint(Path(name) / "last.pt", recipe, run, world)
        checkpoint = time.perf_counter() - started
        if not world.is_first:
            return Overhead(loading, checkpoint, 0.0)
        started = time.perf_counter()
        start = load(recipe.start, device="cpu", dtype=torch.float32, anchor=recipe.anchor)
        loading += time.perf_counter() - started
        dtype = getattr(torch, recipe.dtype)
        weights = sum(p.numel() for tower in start.towers.values() for p in tower.parameters())
        if weights * dtype.itemsize > WRITTEN_BYTES:
            return Overhead(loading, checkpoint, checkpoint * weights * dtype.itemsize / size)
        started = time.perf_counter()
        native.save(start, Path(name) / "space", dtype=dtype)
        return Overhead(loading, checkpoint, time.perf_counter() - started)


def _write_checkpoint(path: Path, recipe: Recipe, run: PreparedRun, world: World) -> int:
    """Write what a checkpoint has of the trained towers; return its size in bytes."""
    towers = run.trained_towers
    model = nn.ModuleDict({name: tower.net for name, tower in towers.items()})
    optimizer = build_optimizer(model, replace(recipe.schedule, lr_factors={}))
    state = {
        "towers": {name: tower.state() for name, tower in towers.items()},
        "averages": {name: tower.average_state() or {} for name, tower in towers.items()},
        "optimizer": full_optimizer_state(model, optimizer),
    }
    if not world.is_first:
        return 1
    save_state(path, state)
    return path.stat().st_size
