"""A run resumes with its own recipe, but for what doesn't change it and for a new length."""

from __future__ import annotations

from pathlib import Path

import pytest

from openbind.configs import to_dict
from openbind.errors import ConfigError
from openbind.training.distributed import World
from openbind.training.recipe_file import read_recipe
from openbind.training.resuming import open_folder
from openbind.training.state import RunFolder, save_state


def begin(world: object, folder: RunFolder, **changes: str) -> object:
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    recipe = read_recipe(world.recipe, dotted)  # type: ignore[attr-defined]
    return open_folder(folder, recipe, True, World())


def test_changes(world: object, tmp_path: Path) -> None:
    """Hardware, logging, card and the length may change; recipe.yaml follows."""
    import json

    folder = RunFolder(tmp_path / "run")
    assert begin(world, folder) is None
    recipe = read_recipe(folder.recipe)
    folder.last.parent.mkdir()
    save_state(folder.last, {"step": 3, "recipe": json.dumps(to_dict(recipe))})
    state = begin(world, folder, logging__save_every="1", schedule__steps="24")
    assert state["step"] == 3  # type: ignore[index]
    assert read_recipe(folder.recipe).schedule.steps == 24
    longer = {"schedule__steps": "null", "schedule__epochs": "9"}
    assert begin(world, folder, **longer) is not None
    for changes, key in (
        ({"schedule__lr": "1"}, r"schedule\.lr"),
        ({"seed": "1"}, "seed"),
        ({"pairs__0__temperature": "0.2"}, "pairs"),
    ):
        with pytest.raises(ConfigError, match=f"{key}: the run was started with"):
            begin(world, folder, **changes)
    with pytest.raises(ConfigError, match="--resume"):
        open_folder(folder, recipe, False, World())
