"""What many tests need: the starter, its samples, and a cache folder of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

import openbind
from openbind.demo.samples import SampleItem, read_samples, samples_folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache."""
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
