"""What a run takes besides its steps is measured by doing it, and leaves nothing behind."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from openbind.training import overhead as module
from openbind.training.distributed import World
from openbind.training.overhead import Overhead, measure_overhead
from openbind.training.recipe_file import read_recipe
from openbind.training.run import prepare_run


def test_overhead(world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint and the space are written for a moment; a large space's time is calculated."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    recipe = read_recipe(world.recipe)
    run = prepare_run(recipe, world.folder, None, World(), progress=False, limit=8)
    saved: list[int] = []
    save = module.native.save
    monkeypatch.setattr(
        module.native, "save", lambda *given, **more: saved.append(1) or save(*given, **more)
    )
    found = measure_overhead(recipe, run, 5.0, World())
    assert found.load > 5.0
    assert found.checkpoint > 0
    assert found.write > 0
    monkeypatch.setattr(module, "WRITTEN_BYTES", 0)
    assert measure_overhead(recipe, run, 5.0, World()).write > 0
    assert saved == [1]
    assert not list(tmp_path.iterdir())


def test_sum() -> None:
    """Every checkpoint counts, the result once."""
    assert Overhead(3.0, 0.5, 2.0).of_run(4) == 7.0
