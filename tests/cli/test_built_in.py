"""`openbind evaluate` without a suite: tables, the matrix, JSON, and a page that stands alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import openbind

Run = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.usefixtures("few_held_out")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Reports are written where the command is run."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.slow
def test_table(run: Run, here: Path) -> None:
    """A table for the set, what aligns with what, and where the report is."""
    code, out, err = run("evaluate", "starter")
    assert code == 0, err
    things, matrix, report = out.split("\n\n")
    assert things.splitlines()[0].split() == ["single", "things", "chance", "starter"]
    assert "audio named by text: accuracy  0.250" in things
    head, columns, *rows = matrix.splitlines()
    assert head == "what aligns with what in starter"
    assert columns.split()[-2:] == ["shuffled", "queries"]
    kinds = [" ".join(row.split()[:4]) for row in rows]
    assert kinds[:2] == ["image → text trained", "image → audio trained"]
    assert "audio → text emergent" in kinds
    assert report == "report: openbind-report.html\n"
    page = (here / "openbind-report.html").read_text()
    assert "What aligns with what in starter" in page
    assert "dog: bark 1" in page


@pytest.mark.slow
def test_json(run: Run, here: Path) -> None:
    """The same for machines, with the differences of two spaces and a report of the first."""
    openbind.save(openbind.load("starter", modalities=["text", "image"]), here / "blind")
    command = ("evaluate", "starter", "blind", "--compare", "--json", "--report", "page.html")
    code, out, err = run(*command)
    assert code == 0, err
    plain = json.loads(out)
    assert plain["report"] == "page.html"
    assert (here / "page.html").exists()
    first, second = plain["suites"]
    assert first["suite"] == second["suite"] == "single things"
    assert second["scores"][0]["difference"]["value"] == 0
    assert "audio named by text" in second["skipped"]
    assert {(cell["query"], cell["trained"]) for cell in plain["emergence"]} >= {
        ("audio", False),
        ("image", True),
    }


@pytest.mark.slow
def test_beside_a_suite(run: Run, here: Path, samples: Path) -> None:
    """With a suite and `--report` the page has the suite's numbers, too."""
    data = here / "clotho"
    (data / "evaluation").mkdir(parents=True)
    lines = ["file_name," + ",".join(f"caption_{k}" for k in range(1, 6))]
    for sound in sorted((samples / "sounds").iterdir())[:3]:
        (data / "evaluation" / sound.name).write_bytes(sound.read_bytes())
        lines.append(",".join([sound.name, *[sound.stem] * 5]))
    (data / "clotho_captions_evaluation.csv").write_text("\n".join(lines) + "\n")
    suite = ("--suite", "clotho", "--data", data)
    code, out, err = run("evaluate", "starter", *suite, "--report", "page.html")
    assert code == 0, err
    assert [table.split()[0] for table in out.split("\n\n")[:2]] == ["clotho", "single"]
    assert "ImageBind, Table 3" in (here / "page.html").read_text()


def test_lacking(run: Run, here: Path) -> None:
    """A space with one modality only, and a folder without a known set."""
    openbind.save(openbind.load("starter", modalities=["text"]), here / "words")
    code, _, err = run("evaluate", "words")
    assert code == 1
    assert "starter has only text; to find one by another" in err
    code, _, err = run("evaluate", "starter", "--data", here)
    assert code == 1
    assert "expected a folder roadscene in it" in err
    assert not (here / "openbind-report.html").exists()
