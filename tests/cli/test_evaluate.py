"""`openbind evaluate`: a table, JSON, warnings on stderr."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def esc50(tmp_path: Path, samples: Path) -> Path:
    """Four sounds of the samples in ESC-50's layout."""
    data = tmp_path / "ESC-50"
    (data / "audio").mkdir(parents=True)
    (data / "meta").mkdir()
    lines = ["filename,fold,target,category,esc10,src_file,take"]
    for index, sound in enumerate(sorted((samples / "sounds").iterdir())[:4]):
        shutil.copy(sound, data / "audio")
        lines.append(f"{sound.name},{index % 2 + 1},0,{('dog', 'rain')[index % 2]},True,0,A")
    (data / "meta" / "esc50.csv").write_text("\n".join(lines) + "\n")
    return data


def test_table(run: Run, esc50: Path) -> None:
    """A column for each space, chance and the paper's number beside; the overlap is said."""
    code, out, err = run("evaluate", "starter", "starter", "--suite", "esc50", "--data", esc50)
    assert code == 0
    head, line = out.splitlines()
    assert head.split() == ["esc50", "chance", "starter", "starter", "published"]
    assert "0.669 ImageBind, Table 2" in line
    assert "starter was trained on ESC-10" in err


def test_json(run: Run, esc50: Path) -> None:
    """The same for machines."""
    command = ("evaluate", "starter", "--suite", "esc50", "--data", esc50, "--json", "--no-cache")
    code, out, _ = run(*command)
    assert code == 0
    (result,) = json.loads(out)
    (score,) = result["scores"]
    assert (result["space"], result["suite"]) == ("starter", "esc50")
    assert score["chance"] == 0.5
    assert score["published"]["value"] == 0.669


def test_list(run: Run) -> None:
    """Suites with their layouts, without loading anything."""
    code, out, _ = run("evaluate", "--list")
    assert code == 0
    assert "meta/esc50.csv" in out
    code, out, _ = run("evaluate", "--list", "--json")
    assert json.loads(out)["clotho"]["title"].startswith("Clotho")


def test_wrong(run: Run, tmp_path: Path) -> None:
    """What is missing from the command line or the data is said."""
    code, _, err = run("evaluate", "starter")
    assert code == 1
    assert "--suite NAME --data DIR" in err
    code, _, err = run("evaluate", "starter", "--suite", "esc50", "--data", tmp_path)
    assert code == 1
    assert "meta/esc50.csv: missing" in err
