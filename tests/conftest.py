"""Fixtures that many tests share, and the split into fast and slow tests."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

import openbind
from openbind.evaluation.samples import SampleItem, read_samples, samples_folder


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--all`, which runs the slow tests too."""
    parser.addoption("--all", action="store_true", help="run tests marked slow, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect slow tests unless `--all`, `-m` or the id of a test is given."""
    named = any("::" in argument for argument in config.args)
    if config.getoption("--all") or config.getoption("markexpr") or named:
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if not item.get_closest_marker("slow")]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests out of the user's cache."""
    monkeypatch.setenv("OPENBIND_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def starter() -> openbind.Space:
    """The model that ships."""
    return openbind.load("starter", device="cpu")


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of the sample collection."""
    return samples_folder()


@pytest.fixture(scope="session")
def sample_items(samples: Path) -> list[SampleItem]:
    """The rows of the sample collection."""
    return read_samples(samples)


@pytest.fixture(scope="session")
def sandbox() -> ModuleType:
    """The module beside this one, which loads files in processes with limits."""
    path = Path(__file__).parent / "sandbox.py"
    spec = importlib.util.spec_from_file_location("sandbox", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["sandbox"] = module
    spec.loader.exec_module(module)
    return module
