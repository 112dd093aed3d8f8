"""Sounds that only met images are found by words; without true pairs they aren't."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

PATH = Path(__file__).parents[2] / "recipes" / "emergence" / "emergence.py"


def load_recipe() -> ModuleType:
    """Import the recipe, which isn't part of a package."""
    spec = importlib.util.spec_from_file_location("emergence", PATH)
    assert spec is not None
    assert spec.loader is not None
    emergence = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = emergence
    spec.loader.exec_module(emergence)
    return emergence


@pytest.mark.slow
def test_emergence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Far above chance when bound, at chance when shuffled or untrained."""
    monkeypatch.setenv("OPENBIND_CACHE", str(tmp_path / "cache"))
    emergence = load_recipe()
    sounds = emergence.find_sounds(None)
    assert len(sounds) == 11
    found = emergence.show_emergence(tmp_path, sounds, 2, {"schedule.steps": "150"})
    recordings, among_all, among_themselves = (found[task] for task in emergence.TASKS)
    assert recordings["bound"].chance == among_all["bound"].chance == pytest.approx(1 / 11)
    assert among_themselves["bound"].chance > among_all["bound"].chance
    assert {named.count for named in among_all.values()} == {44}
    assert recordings["bound"].accuracy >= 0.4
    assert recordings["shuffled"].accuracy <= 0.35
    assert recordings["untrained"].accuracy <= 0.35
    for ways in found.values():
        low, high = ways["bound"].interval
        assert 0 <= low <= ways["bound"].accuracy <= high <= 1


@pytest.mark.parametrize("fold", range(4))
def test_left_out_classes_are_not_heard(fold: int) -> None:
    """Of a class that is left out nothing is heard; each recording has one part."""
    emergence = load_recipe()
    sounds = {name: [Path(f"{name}{n}") for n in range(4)] for name in "abc"}
    split = emergence.split_sounds(sounds, {"b"}, 4, fold)
    assert {name for _, name in split["heard"]} == {"a", "c"}
    assert split["new classes"] == [(path, "b") for path in sounds["b"]]
    assert split["new recordings"] == [(sounds[name][fold], name) for name in "ac"]
    parts = [path for part in split.values() for path, _ in part]
    assert sorted(parts) == sorted(path for paths in sounds.values() for path in paths)
