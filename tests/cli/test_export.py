"""`openbind export` writes a folder and prints its parity."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import openbind
from openbind.cli.main import main
from tests.tiny_spaces import make_space


def test_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    openbind.save(make_space("image", "text"), tmp_path / "space")
    command = ["export", str(tmp_path / "space"), str(tmp_path / "out")]
    assert main([*command, "--format", "pt2", "--modality", "text"]) == 0
    printed = capsys.readouterr().out
    assert "text.pt2" in printed
    assert "image" not in printed
    torch.export.load(tmp_path / "out" / "text.pt2")
    assert main(command) == 1  # the folder is there
    assert "not empty" in capsys.readouterr().err


def test_unknown_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    openbind.save(make_space("text"), tmp_path / "space")
    assert main(["export", str(tmp_path / "space"), str(tmp_path / "o"), "--format", "onx"]) == 1
    assert "did you mean 'onnx'" in capsys.readouterr().err
