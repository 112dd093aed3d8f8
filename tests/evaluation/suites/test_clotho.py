"""Clotho on a look-alike in its true layout."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import openbind
from openbind.errors import InputError
from openbind.evaluation.run import evaluate
from openbind.evaluation.suites.clotho import SUITE


def make_look_alike(folder: Path, tones: list[Path]) -> Path:
    """Two sounds, one with a comma and a space in its name, as there are."""
    (folder / "evaluation").mkdir(parents=True)
    names = ["Santa Motor.wav", "Rain, heavy.wav"]
    lines = ["file_name,caption_1,caption_2,caption_3,caption_4,caption_5"]
    for tone, name in zip(tones, names, strict=False):
        shutil.copy(tone, folder / "evaluation" / name)
        lines.append(f'"{name}",' + ",".join(f'"{name}, said {k}"' for k in range(5)))
    (folder / "clotho_captions_evaluation.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_read(tmp_path: Path, tones: list[Path]) -> None:
    """Five captions a sound."""
    (task,) = SUITE.read(make_look_alike(tmp_path, tones))
    assert [len(captions) for captions in task.captions] == [5, 5]
    assert task.captions[1][4] == "Rain, heavy.wav, said 4"
    assert all(isinstance(path, Path) and path.exists() for path in task.items)


def test_part(tmp_path: Path, tones: list[Path], tiny: openbind.Space) -> None:
    """Beside a part of the sounds, the paper's number says of how many it is."""
    result = evaluate(tiny, "clotho", make_look_alike(tmp_path, tones))
    score = result.score_of("text → audio", "R@1")
    assert score is not None
    published = result.published_for(score)
    assert published is not None
    assert published.describe(score).endswith("of 5,225 items and 1,045 choices; here 10 and 2")


def test_broken(tmp_path: Path, tones: list[Path]) -> None:
    """A table of four captions."""
    data = make_look_alike(tmp_path, tones)
    table = data / "clotho_captions_evaluation.csv"
    table.write_text(table.read_text().replace("caption_5", "caption_six"))
    with pytest.raises(InputError, match="no column caption_5"):
        SUITE.read(data)
