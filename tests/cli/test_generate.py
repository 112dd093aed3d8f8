"""`openbind generate`: queries of any modality become image files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import openbind

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _painting(starter: openbind.Space, painter: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The starter with a decoder that draws at once."""
    space = starter.with_generator(painter(starter.dim))
    monkeypatch.setattr("openbind.cli.generate.load_space", lambda *_, **__: space)


def test_one_image(run: Run, media: Path, tmp_path: Path) -> None:
    """A sound becomes an image; the same seed gives the same file."""
    sound, out = media / "rooster.ogg", tmp_path / "out.png"
    code, stdout, _ = run("generate", "--audio", sound, "-o", out)
    assert code == 0
    assert str(out) in stdout
    first = out.read_bytes()
    with Image.open(out) as image:
        assert image.size == (16, 16)
        assert "1 audio" in image.text["Description"]  # type: ignore[attr-defined]
    run("generate", "--audio", sound, "-o", out)
    assert out.read_bytes() == first
    run("generate", "--audio", sound, "-o", out, "--seed", 1)
    assert out.read_bytes() != first


def test_grid_of_a_sum(run: Run, media: Path, tmp_path: Path) -> None:
    """Several images of a weighted sum; JSON output says what was drawn."""
    out = tmp_path / "grid.png"
    query = ["--image", next(media.glob("dog.[!o]*")), "--audio", media / "rain.ogg"]
    numbers = ["--weight", "-0.5", "--n", 4, "--steps", 7, "--seed", 3]
    code, stdout, _ = run("generate", *query, *numbers, "-o", out, "--json")
    assert code == 0
    found = json.loads(stdout)
    assert (found["n"], found["seed"], found["steps"]) == (4, 3, 7)
    assert found["candidates"] is None
    with Image.open(out) as image:
        assert image.size == (found["width"], found["height"]) == (34, 34)


def test_candidates_are_chosen_among(run: Run, tmp_path: Path) -> None:
    """Another image may be kept than the first that is drawn; it is the same each time."""
    query = ["generate", "--text", "a dog", "--candidates"]
    files = [tmp_path / f"{name}.png" for name in ("one", "six", "again")]
    for path, candidates in zip(files, (1, 6, 6), strict=True):
        assert run(*query, candidates, "--seed", 2, "-o", path)[0] == 0
    one, six, again = (path.read_bytes() for path in files)
    assert one != six == again


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (["-o", "out.txt", "--text", "a dog"], "out.txt"),
        (["-o", "out.png"], "no terms"),
        (["-o", "out.png", "--text", "a dog", "--steps", "0"], "steps"),
        (["-o", "out.png", "--text", "a dog", "--seed", "-1"], "seed"),
        (["-o", "out.png", "--text", "a dog", "--candidates", "0"], "candidates"),
        (["-o", "out.png", "--text", "a dog", "--candidates", "65"], "candidates"),
        (["-o", "out.png", "--text", "a dog", "--guidance", "nan"], "guidance"),
        (["-o", "out.png", "--image", "missing.png"], "missing.png"),
        (["-o", "out.png", "--text", "a dog", "--bridge", "b.safetensors"], "--bridge"),
    ],
)
def test_wrong_command_lines(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], named: str
) -> None:
    """Each says what is wrong, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    code, _, stderr = run("generate", *given)
    assert code == 1
    assert named in stderr
    assert not list(tmp_path.glob("*.*"))
