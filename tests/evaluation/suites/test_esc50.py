"""ESC-50 on a look-alike in its true layout."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import openbind
from openbind.errors import InputError
from openbind.evaluation.run import evaluate
from openbind.evaluation.suites.esc50 import SUITE
from openbind.evaluation.summary import tabulate
from openbind.evaluation.tasks.classification import Classification
from openbind.evaluation.tasks.linear_probe import LinearProbe


def make_look_alike(folder: Path, tones: list[Path]) -> Path:
    """Two classes and two folds, with the real table's columns."""
    (folder / "audio").mkdir(parents=True)
    (folder / "meta").mkdir()
    lines = ["filename,fold,target,category,esc10,src_file,take"]
    for index, tone in enumerate(tones[:4]):
        name = f"{index // 2 + 1}-{index}-A-0.wav"
        shutil.copy(tone, folder / "audio" / name)
        category = ("dog", "clock_tick")[index % 2]
        lines.append(f"{name},{index // 2 + 1},0,{category},True,{index // 2},A")
    (folder / "meta" / "esc50.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_read(tmp_path: Path, tones: list[Path]) -> None:
    """Class names have spaces, folds are groups, CLIP's 80 prompts are used."""
    task, probe = SUITE.read(make_look_alike(tmp_path, tones))
    assert isinstance(task, Classification)
    assert isinstance(probe, LinearProbe)
    assert (probe.targets, probe.groups, probe.classes) == ([1, 0, 1, 0], [1, 1, 2, 2], 2)
    assert task.classes == [("clock tick",), ("dog",)]
    assert task.targets == [(1,), (0,), (1,), (0,)]
    assert task.groups == [1, 1, 2, 2]
    assert task.recordings == ["0", "0", "1", "1"]
    assert all(isinstance(path, Path) and path.exists() for path in task.items)
    assert len(task.templates) == 80
    assert task.name == SUITE.published[0].task


def test_part(tmp_path: Path, tones: list[Path], tiny: openbind.Space) -> None:
    """Beside a part of the clips and classes, the paper's number says of how many it is."""
    result = evaluate(tiny, "esc50", make_look_alike(tmp_path, tones))
    (score,) = result.scores
    assert (score.count, score.choices) == (4, 2)
    whole = "ImageBind, Table 2, of 2,000 items and 50 choices; here 4 and 2"
    assert tabulate([result])[1].endswith(f"0.669 {whole}")
    all_of_it = replace(result, scores=(replace(score, count=2_000, choices=50),))
    assert tabulate([all_of_it])[1].endswith("0.669 ImageBind, Table 2")


def test_trained_clips(tmp_path: Path, tones: list[Path], starter: openbind.Space) -> None:
    """Clips that the starter was trained on are skipped by the names that the data set has."""
    assert SUITE.identify("1-100032-A-0.wav") == SUITE.identify("1-100032-A.ogg") == "1-100032-A"
    data = make_look_alike(tmp_path, tones)
    (data / "audio" / "1-0-A-0.wav").rename(data / "audio" / "1-100032-A-0.wav")
    table = data / "meta" / "esc50.csv"
    table.write_text(table.read_text().replace("1-0-A-0.wav", "1-100032-A-0.wav"))
    result = evaluate(starter, "esc50", data)
    assert (result.trained_items, result.scores[0].count) == (1, 3)


def test_broken(tmp_path: Path, tones: list[Path]) -> None:
    """Another table, or a fold that is not an integer."""
    data = make_look_alike(tmp_path, tones)
    table = data / "meta" / "esc50.csv"
    good = table.read_text()
    table.write_text(good.replace("category", "label"))
    with pytest.raises(InputError, match="no column category"):
        SUITE.read(data)
    table.write_text(good.replace("wav,2,", "wav,two,"))
    with pytest.raises(InputError, match="fold: found 'two'"):
        SUITE.read(data)
