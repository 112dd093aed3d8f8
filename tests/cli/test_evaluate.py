"""`openbind evaluate`: tables, JSON, warnings on stderr; the commands of its page run."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import openbind
from openbind.evaluation.emergence import find_trained_pairs
from openbind.evaluation.judge import read_judge, shipped_judge, write_judge
from openbind.evaluation.suites import SUITES

PAGE = Path(__file__).parents[2] / "docs" / "evaluation.md"
Run = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.usefixtures("kept_vectors")


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
    """A column for each space, chance and the paper's number beside."""
    code, out, err = run("evaluate", "starter", "starter", "--suite", "esc50", "--data", esc50)
    assert code == 0
    head, line = out.splitlines()
    assert head.split() == ["esc50", "items", "chance", "starter", "starter", "published"]
    assert "0.669 ImageBind, Table 2" in line
    assert not err


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
    code, _, err = run("evaluate")
    assert code == 1
    assert "expected SPACE" in err
    code, _, err = run("evaluate", "starter", "--suite", "esc50")
    assert code == 1
    assert "--suite esc50: expected --data DIR" in err
    code, _, err = run("evaluate", "starter", "--probe")
    assert code == 1
    assert "--probe: expected --suite" in err
    code, _, err = run("evaluate", "starter", "--suite", "esc50", "--data", tmp_path)
    assert code == 1
    assert "meta/esc50.csv: missing" in err


@pytest.fixture
def suites(tmp_path: Path, esc50: Path, samples: Path) -> Path:
    """A folder of two suites that fit the starter and one that can't be read."""
    folder = tmp_path / "suites"
    clotho = folder / "clotho"
    (clotho / "evaluation").mkdir(parents=True)
    lines = ["file_name," + ",".join(f"caption_{k}" for k in range(1, 6))]
    for sound in sorted((samples / "sounds").iterdir())[:3]:
        shutil.copy(sound, clotho / "evaluation")
        lines.append(",".join([sound.name, *[sound.stem] * 5]))
    (clotho / "clotho_captions_evaluation.csv").write_text("\n".join(lines) + "\n")
    shutil.copytree(esc50, folder / "esc50")
    return folder


@pytest.mark.slow
def test_all(run: Run, suites: Path) -> None:
    """Suites that are there are measured, those that aren't are named, a broken one fails."""
    code, out, err = run("evaluate", "starter", "--suite", "all", "--data", suites)
    assert code == 0
    tables = out.split("\n\n")
    assert [table.split()[0] for table in tables] == ["esc50", "clotho"]
    assert "no folders in" in err
    assert "imagenet, places365" in err
    (suites / "vggsound").mkdir()
    code, out, err = run("evaluate", "starter", "--suite", "all", "--data", suites, "--json")
    assert code == 1
    assert "vggsound.csv: missing" in err
    assert [result["suite"] for result in json.loads(out)] == ["esc50", "clotho"]
    code, _, err = run("evaluate", "starter", "--suite", "all", "--data", suites / "clotho")
    assert code == 1
    assert "expected folders named as suites: esc50, clotho" in err


@pytest.mark.slow
def test_all_without_a_modality(run: Run, suites: Path, tmp_path: Path) -> None:
    """A space without the suites' modalities is said, and is no fault."""
    blind = tmp_path / "blind"
    openbind.save(openbind.load("starter", modalities=["text", "image"]), blind)
    code, out, err = run("evaluate", blind, "starter", "--suite", "all", "--data", suites)
    assert code == 0
    assert "ESC-50 needs audio" in err
    assert out.split("\n")[0].split() == ["esc50", "items", "chance", "starter", "published"]


@pytest.mark.slow
def test_compare(run: Run, esc50: Path) -> None:
    """A space differs from itself by nothing; alone there is nothing to compare."""
    options = ("--suite", "esc50", "--data", esc50, "--compare")
    code, _, err = run("evaluate", "starter", *options)
    assert code == 1
    assert "--compare" in err
    code, out, _ = run("evaluate", "starter", "starter", *options)
    assert code == 0
    assert "+0.000 p=1" in out
    code, out, _ = run("evaluate", "starter", "starter", *options, "--json")
    first, second = json.loads(out)
    assert "difference" not in first["scores"][0]
    assert second["scores"][0]["difference"] == {"value": 0, "p": 1, "apart": False}


@pytest.mark.slow
def test_probe(run: Run, esc50: Path) -> None:
    """Five more lines: 1, 2, 4, 8 items per class, and all."""
    code, out, _ = run("evaluate", "starter", "--suite", "esc50", "--data", esc50, "--probe")
    assert code == 0
    assert len(out.splitlines()) == 7
    assert "probe, 8 per class: accuracy" in out


@pytest.mark.slow
def test_many_left_out(run: Run, esc50: Path) -> None:
    """Of many broken files some are named, and their number is said."""
    table = esc50 / "meta" / "esc50.csv"
    gone = "".join(f"{index}.wav,1,0,dog,True,0,A\n" for index in range(30))
    table.write_text(table.read_text() + gone)
    code, _, err = run("evaluate", "starter", "--suite", "esc50", "--data", esc50)
    assert code == 0
    assert err.count("excluded /") == 5
    assert "30 excluded in all" in err


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory, where reports are written."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.usefixtures("few_held_out")
def test_sets_that_ship(run: Run, here: Path) -> None:
    """A table for the set, the alignment, and the path of the report."""
    code, out, err = run("evaluate", "starter")
    assert code == 0, err
    things, matrix, report = out.split("\n\n")
    assert things.splitlines()[0].split() == ["single", "things", "items", "chance", "starter"]
    assert re.search(r"zero-shot audio classification: accuracy +\d+ +0.250", things)
    head, columns, *rows = matrix.splitlines()
    quoted = next(at for at, row in enumerate(rows) if "model card" in row)
    starter = openbind.load("starter")
    unseen = starter.card.unseen
    assert [row.split(",")[0] for row in rows[quoted + 1 :]] == [
        m.task.split(",")[0] for m in unseen
    ]
    rows = rows[:quoted]
    assert head == "cross-modal alignment of starter"
    assert columns.split()[-2:] == ["shuffled", "queries"]
    kinds = [" ".join(row.split()[:4]) for row in rows]
    assert kinds[:2] == ["image → text trained", "image → audio trained"]
    trained = find_trained_pairs(starter)
    for kind in kinds:  # nothing that was trained is called emergent
        query, _, target, word = kind.split()
        assert word == ("trained" if (query, target) in trained else "emergent"), kind
    assert report == "report: openbind-report.html\n"
    page = (here / "openbind-report.html").read_text()
    assert "Evaluation of starter" in page
    assert ">dog: bark 1<" in page


@pytest.mark.usefixtures("few_held_out")
@pytest.mark.slow
def test_sets_that_ship_as_json(run: Run, here: Path) -> None:
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
    assert "zero-shot audio classification" in second["skipped"]
    trained = find_trained_pairs(openbind.load("starter"))
    directions = {(cell["query"], cell["target"]): cell["trained"] for cell in plain["emergence"]}
    assert directions == {pair: pair in trained for pair in directions}
    assert any(directions.values())


@pytest.mark.usefixtures("few_held_out")
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


@pytest.mark.usefixtures("few_held_out")
def test_lacking(run: Run, here: Path) -> None:
    """A space with one modality only, and a folder without a known set."""
    openbind.save(openbind.load("starter", modalities=["text"]), here / "text")
    code, _, err = run("evaluate", "text")
    assert code == 1
    assert "starter has only text" in err
    code, _, err = run("evaluate", "starter", "--data", here)
    assert code == 1
    assert "expected a folder roadscene in it" in err
    assert not (here / "openbind-report.html").exists()


@pytest.mark.usefixtures("few_held_out")
@pytest.mark.slow
def test_page(run: Run, suites: Path, esc50: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command of docs/evaluation.md runs as written, and every suite is in its table."""
    text = PAGE.read_text()
    for name in SUITES.table:
        assert f"\n| `{name}` |" in text
    (block,) = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    places = {"/data/ESC-50": esc50, "/data/suites": suites, "/data/clotho": suites / "clotho"}
    for side in ("visible", "thermal"):
        (suites / "roadscene" / side).mkdir(parents=True)
        Image.new("L", (32, 32)).save(suites / "roadscene" / side / "FLIR_00006.jpg")
    for name in ("a", "b"):
        openbind.save(openbind.load("starter"), suites.parent / "runs" / name)
    monkeypatch.chdir(suites.parent)
    for line in block.splitlines():
        words = shlex.split(line, comments=True)
        code, out, err = run(*[places.get(word, word) for word in words[1:]])
        assert code == 0, f"{line}\n{err}"
        assert out


def test_a_judge_of_ones_own(run: Run, tmp_path: Path, samples: Path) -> None:
    """Drawn images of two classes are named by a judge in a file, beside their controls."""
    sounds = sorted((samples / "sounds").iterdir())
    for name, sound in zip(("dog", "train"), sounds, strict=False):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        shutil.copy(sound, folder)
        for level in (0, 255):
            Image.new("RGB", (32, 32), (level,) * 3).save(folder / f"{level}.png")
    shipped = read_judge(shipped_judge())
    write_judge(shipped, tmp_path / "own.safetensors")
    command = ("evaluate", "starter", "--suite", "generation", "--data", tmp_path / "data")
    code, out, _ = run(*command, "--judge", tmp_path / "own.safetensors", "--json")
    assert code == 0
    scores = {score["metric"]: score for score in json.loads(out)[0]["scores"]}
    for part in ("class agreement", "ceiling", "floor", "retrieval", "copies", "composition"):
        assert any(part in name for name in scores), part
    assert scores["class agreement"]["chance"] == 0.5
    (tmp_path / "own.safetensors").write_bytes(b"no judge")
    code, _, err = run(*command, "--judge", tmp_path / "own.safetensors")
    assert code != 0
    assert "own.safetensors" in err
