"""`openbind classify`: probabilities of the labels, the highest first."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]


def test_classify(run: Run, media: Path) -> None:
    """An image of a rooster is a rooster; the probabilities sum to 1."""
    image = next(media.glob("rooster.[!o]*"))
    code, out, _ = run("classify", image, "--labels", "dog, rooster,rain", "--json")
    (result,) = json.loads(out)["results"]
    assert code == 0
    assert next(iter(result["labels"])) == "rooster"
    assert sum(result["labels"].values()) == pytest.approx(1, abs=1e-4)


def test_labels_in_another_language(run: Run, media: Path) -> None:
    """A line says so; the result is on stdout all the same."""
    code, out, err = run("classify", media / "dog.ogg", "--labels", "ein Hund und eine Katze,rain")
    assert (code, len(out.splitlines())) == (0, 1)
    assert "German" in err


def test_several_modalities_in_order(run: Run, media: Path) -> None:
    """Files of any modality, each once, in the order given; several templates are averaged."""
    image, sound = next(media.glob("dog.[!o]*")), media / "dog.ogg"
    options = ("--labels", "dog,rooster", "--template", "{}", "--template", "a photo of a {}")
    code, out, err = run("classify", sound, image, sound, *options, "--json", "--device", "cpu")
    assert code == 0, err
    found = json.loads(out)
    assert [result["path"] for result in found["results"]] == [str(sound), str(image)]
    assert found["results"][1]["modality"] == "image"
    assert found["summary"]["read"].keys() == {"audio", "image"}


def test_a_folder(run: Run, media: Path) -> None:
    """A broken file is named and counted, the rest is classified; --strict makes it a failure."""
    (media / "broken.png").write_bytes(b"no image")
    (media / "notes.xyz").touch()
    code, out, err = run("classify", media, "--labels", "dog,rain")
    assert (code, len(out.splitlines())) == (0, 6)
    assert "broken.png" in err.splitlines()[-2]
    assert "2 skipped: 1 of other types (1 XYZ), 1 failed to decode" in err.splitlines()[-1]
    assert run("classify", media, "--labels", "dog,rain", "--strict")[0] == 1


def test_table(run: Run, media: Path, tmp_path: Path) -> None:
    """A row for each file that can be used, among several by name too; columns are the labels."""
    (media / "broken.png").write_bytes(b"no image")
    (media / "notes.xyz").write_text("no media")
    table = tmp_path / "table.csv"
    named = [media / "notes.xyz", media / "broken.png", media / "dog.ogg", media / "rain.ogg"]
    code, out, err = run("classify", *named, "--labels", "rain,dog", "-o", table)
    assert (code, out) == (0, "")
    assert all(name in err for name in ("notes.xyz: unsupported", "broken.png", "table.csv"))
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [str(media / "dog.ogg"), str(media / "rain.ogg")]
    assert [row["label"] for row in rows] == ["dog", "rain"]
    assert float(rows[0]["rain"]) + float(rows[0]["dog"]) == pytest.approx(1, abs=1e-5)
    for wrong in (["--labels", "a,b", "-o", "x.txt"], ["--labels", "a,a"]):
        code, out, err = run("classify", media, *wrong)
        assert (code, out, len(err.splitlines())) == (1, "", 1)


@pytest.mark.parametrize("template", ["a dog", "{} {}", "a {} in {place}"])
def test_malformed_template(run: Run, media: Path, template: str) -> None:
    """A template is refused in one line, without a traceback."""
    code, _, err = run("classify", media / "dog.ogg", "--labels", "a,b", "--template", template)
    assert code == 1
    assert repr(template) in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.slow
def test_unusable_files(run: Run, media: Path) -> None:
    """An unknown extension, or a broken file, is named."""
    (media / "x.abc").write_bytes(b"x")
    (media / "x.wav").write_bytes(b"x")
    for options in (("x.abc",), ("x.wav",), ("x.abc", "--type", "image")):
        code, _, err = run("classify", media / options[0], "--labels", "a,b", *options[1:])
        assert code == 1
        assert options[0] in err
