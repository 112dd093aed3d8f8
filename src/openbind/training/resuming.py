"""Begin a run's folder, or resume the run in it: with the same recipe, or a longer schedule."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from openbind.atomic import atomic_path
from openbind.configs import to_dict
from openbind.errors import CheckpointError, ConfigError, first_line, shorten
from openbind.training.distributed import World
from openbind.training.recipe import Recipe
from openbind.training.recipe_file import write_recipe
from openbind.training.state import RunFolder, load_state

CHANGEABLE = ("hardware", "logging", "card")
"""Sections of a recipe that may differ when a run is resumed."""
LENGTHS = ("schedule.epochs", "schedule.steps")
"""Keys that may differ too: the run goes on to another length."""


def open_folder(
    folder: RunFolder, recipe: Recipe, resume: bool, world: World
) -> dict[str, Any] | None:
    """Create a run's folder, or read the checkpoint in it; all processes must call.

    Args:
        folder: of the run.
        recipe: is written there.
        resume: continue from the checkpoint, if there is one.
        world: the processes.

    Returns:
        the checkpoint; None for a new run.

    Raises:
        ConfigError: there is a run and `resume` isn't set, or its recipe was another one.
        CheckpointError: the checkpoint can't be read.
    """
    state = load_state(folder.last) if folder.last.is_file() else None
    if state is not None and not resume:
        raise ConfigError(
            f"{folder.path}: has a run already; resume it (--resume) or choose another --output"
        )
    if state is not None:
        _require_same(_recipe_of(folder.last, state), json.loads(json.dumps(to_dict(recipe))))
    elif world.is_first:
        folder.path.mkdir(parents=True, exist_ok=True)
        for old in (folder.log, folder.skipped, folder.tracker_id):
            old.unlink(missing_ok=True)
    if world.is_first:
        with atomic_path(folder.recipe) as temporary:
            temporary.write_text(write_recipe(recipe), encoding="utf-8")
    world.wait()
    return state


def _recipe_of(path: Path, state: dict[str, Any]) -> Any:
    try:
        return json.loads(state["recipe"])
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        raise CheckpointError(path, f"not of a run: no recipe ({first_line(error)})") from error


def _require_same(was: Any, now: Any, where: str = "") -> None:
    """Refuse to resume with a recipe that trains something else."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in {**was, **now}:
            if where or key not in CHANGEABLE:
                _require_same(was.get(key), now.get(key), f"{where}.{key}" if where else key)
    elif was != now and where not in LENGTHS:
        raise ConfigError(
            f"{where}: the run was started with {shorten(was)}, the recipe has {shorten(now)}; "
            "change it back, "
            "or start again with another --output"
        )
