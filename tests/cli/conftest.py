"""What the tests of the verbs share: a way to run one, and a folder of media."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from openbind.cli.main import main
from openbind.evaluation.samples import SampleItem

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line; gives exit code, stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def media(samples: Path, sample_items: list[SampleItem], tmp_path: Path) -> Path:
    """A folder with a few images and sounds of known things."""
    place = tmp_path / "media"
    place.mkdir()
    for modality in ("image", "audio"):
        for concept in ("dog", "rooster", "rain"):
            item = next(i for i in sample_items if (i.modality, i.concept) == (modality, concept))
            shutil.copy(samples / item.path, place / f"{concept}{Path(item.path).suffix}")
    return place


@pytest.fixture(autouse=True)
def _few_drawings(few_drawings: None) -> None:
    """Draw little where the starter is evaluated: it takes half a second each."""
