"""Fixtures that many tests share, and the split into fast and slow tests."""

from __future__ import annotations

import csv
import importlib.util
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image

import openbind
from openbind.evaluation import builtin
from openbind.evaluation.held_out import TABLE, held_out_folder
from openbind.evaluation.samples import SampleItem, read_samples, samples_folder
from openbind.generation import sampler
from openbind.generation.decoder import Progress, image_seeds, report
from tests.warm import Warm, warmed


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
def kept_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that tests share, in whichever worker they run."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "kept"


@pytest.fixture
def kept_vectors(kept_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use vectors that other tests computed of the same items, and leave one's own to them."""
    monkeypatch.setenv("OPENBIND_CACHE", str(kept_folder))


@pytest.fixture(autouse=True)
def _own_random_numbers() -> None:
    """Draw the same numbers whichever tests ran before in this process."""
    torch.manual_seed(0)
    np.random.seed(0)


@pytest.fixture
def few_drawings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw from few items, in one step, where the starter is evaluated."""

    def draw_quickly(denoise: Any, noise: Any, known: Any, settings: Any, seen: Any) -> Any:
        return sampler.draw_images(denoise, noise, known, replace(settings, steps=1), seen)

    monkeypatch.setattr("openbind.generation.small.draw_images", draw_quickly)
    monkeypatch.setattr("openbind.evaluation.tasks.drawing.MOST_ITEMS", 2)


@pytest.fixture
def few_held_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four classes of the held-out sets that ship stand for all of them."""
    shipped, folder = held_out_folder(), tmp_path / "few"
    folder.mkdir()
    with (shipped / TABLE).open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = [row for row in reader if row["label"] in ("dog", "rain", "cow", "drum", "running")]
    for row in rows:
        row["path"] = str(shipped / row["path"]) if row["path"] else ""
    with (folder / TABLE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    monkeypatch.setattr(builtin, "held_out_folder", lambda: folder)
    return folder


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
def warm() -> Iterator[Warm]:
    """Runs Python in processes that needn't import PyTorch first."""
    with warmed() as found:
        yield found


@pytest.fixture(scope="session")
def sandbox() -> ModuleType:
    """The module beside this one, which loads files in processes with limits."""
    return _import("sandbox")


@pytest.fixture(scope="session")
def tiny_diffusion() -> ModuleType:
    """The module beside this one, which saves tiny diffusion models."""
    return _import("tiny_diffusion")


def _import(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Painter:
    """A decoder that draws at once: noise, whose mean depends on the vector."""

    dim: int
    accepts: str = "painted"
    candidates: int = 1

    def draw(
        self,
        vectors_BE: np.ndarray,
        *,
        modality: str | None,
        n: int,
        candidates: int,
        seed: int,
        steps: int | None,
        guidance: float | None,
        progress: Progress | None,
    ) -> list[list[Image.Image]]:
        total = steps or 3
        for done in range(1, total + 1):
            report(progress, done, total)
        seeds = image_seeds(seed, n * candidates)
        return [[self._paint(row_E, each) for each in seeds] for row_E in vectors_BE]

    def _paint(self, row_E: np.ndarray, seed: int) -> Image.Image:
        noise = np.random.default_rng(seed).normal(128 + 100 * row_E[0], 9, (16, 16, 3))
        return Image.fromarray(noise.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def painter() -> type[Painter]:
    """Decoders that draw at once."""
    return Painter


@pytest.fixture(scope="session")
def exported(kept_folder: Path) -> Path:
    """A tiny space of images, text, audio and IMU data as ONNX, written once for all workers."""
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    from openbind.export.space import export_space
    from tests.tiny_spaces import make_space

    folder = kept_folder / "exported"
    kept_folder.mkdir(parents=True, exist_ok=True)
    with FileLock(kept_folder / "exported.lock"):
        if not folder.exists():
            export_space(make_space("image", "text", "audio", "imu"), folder)
    return folder
