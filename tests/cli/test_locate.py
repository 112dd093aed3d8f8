"""`openbind locate`: drawings, JSON, several files, sounds, videos, what goes wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from openbind.cli.main import main
from openbind.evaluation.held_out import held_out_folder
from openbind.evaluation.samples import samples_folder

CAT = samples_folder() / "images" / "114-cat.webp"
CUP = samples_folder() / "images" / "115-coffee.webp"
DOG = held_out_folder() / "single_things" / "080-dog.ogg"


def test_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Prints the hottest point and boxes; draws the map over the image."""
    target = tmp_path / "new" / "where.png"
    assert main(["locate", str(CAT), "--text", "a cat", "-o", str(target)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert str(CAT) in lines[0]
    assert any("box" in line for line in lines[1:])
    with Image.open(CAT) as image, Image.open(target) as drawn:
        assert drawn.size == image.size
        assert np.asarray(drawn).std() > 0
    assert [path.name for path in target.parent.iterdir()] == ["where.png"]


def test_many_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One row a file; what can't be used is named, and fails only with --strict."""
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    command = ["locate", str(CAT), str(broken), str(CUP), "--text", "a cat", "--json"]
    command += ["--audio", str(DOG), "--weight", "-0.2", "-o", str(tmp_path / "maps")]
    assert main(command) == 0
    plain = json.loads(capsys.readouterr().out)
    assert [row["path"] for row in plain["results"]] == [str(CAT), str(CUP)]
    assert [row["path"] for row in plain["skipped"]] == [str(broken)]
    first = plain["results"][0]
    assert first["modality"] == "image"
    assert 0 <= first["peak"][0] < first["width"]
    assert {"x0", "y0", "x1", "y1", "score"} == set(first["boxes"][0])
    names = sorted(path.name for path in (tmp_path / "maps").iterdir())
    assert names == ["114-cat.webp.png", "115-coffee.webp.png"]
    assert main([*command, "--strict"]) == 1


def test_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Moments, the curve as JSON and as a drawing."""
    target = tmp_path / "curve.png"
    command = ["locate", str(DOG), "--text", "a dog barks", "-o", str(target), "--json"]
    assert main(command) == 0
    (row,) = json.loads(capsys.readouterr().out)["results"]
    (track,) = row["tracks"]
    assert (row["modality"], track["modality"]) == ("audio", "audio")
    moment = track["moments"][0]
    assert 0 <= moment["start_s"] < moment["end_s"] <= track["duration_s"]
    times = [at for at, _ in track["curve"]]
    assert times == sorted(times)
    assert target.exists()


def test_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two scenes: the moment of the second, and where in its frame."""
    av = pytest.importorskip("av")
    path = tmp_path / "scenes.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.width = stream.height = 256
        for name in (CUP, CAT):
            with Image.open(name) as image:
                frame = av.VideoFrame.from_image(image.convert("RGB").resize((256, 256)))
            for _ in range(32):
                container.mux(stream.encode(frame))
        container.mux(stream.encode())
    target = tmp_path / "where.jpg"
    command = ["locate", str(path), "--text", "a cat", "-o", str(target), "--json"]
    assert main(command) == 0
    (row,) = json.loads(capsys.readouterr().out)["results"]
    assert [track["modality"] for track in row["tracks"]] == ["video"]
    moment = row["tracks"][0]["moments"][0]
    assert 3 < moment["start_s"] < 5
    assert moment["end_s"] > 7
    assert 4 < row["where"]["seconds"] < 8
    assert row["where"]["boxes"]
    with Image.open(target) as drawn:
        assert drawn.size == (256, 256)


def test_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No query, an output that can't be written, files of unknown types, two of one name."""
    assert main(["locate", str(CAT)]) == 1
    assert main(["locate", str(CAT), "--text", "a cat", "-o", str(tmp_path / "map.txt")]) == 1
    unknown = tmp_path / "a.xyz"
    unknown.write_text("x")
    assert main(["locate", str(unknown), "--text", "a cat"]) == 1
    copy = tmp_path / CAT.name
    shutil.copy(CAT, copy)
    command = ["locate", str(CAT), str(copy), "--text", "a cat", "-o", str(tmp_path / "maps")]
    assert main(command) == 1
    assert not (tmp_path / "maps").exists()
    assert capsys.readouterr().out == ""
