"""`openbind convert` writes any known format as openbind's own, or fails with a one-line error."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import openbind
from openbind.checkpoints import load_imagebind, load_openclip
from openbind.cli.convert import parse_hints
from openbind.cli.main import main

GOLDEN = Path(__file__).parents[1] / "golden" / "imagebind_mini.safetensors"
HEADS = {"vision": 4, "text": 2, "audio": 3, "depth": 2, "thermal": 4, "imu": 2}


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """The golden model as an official file."""
    with safe_open(GOLDEN, "pt") as file:
        state = {
            key.removeprefix("state/"): file.get_tensor(key)
            for key in file.keys()  # noqa: SIM118
            if key.startswith("state/")
        }
    torch.save(state, tmp_path / "mini.pth")
    return tmp_path / "mini.pth"


def test_one_file_a_tower(
    official: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights are bit-equal, heads those of the hint; the precision is left to the machine."""
    target = tmp_path / "ours"
    hints = [f"--hint=heads.{name}={count}" for name, count in HEADS.items()]
    assert main(["convert", str(official), "-o", str(target), *hints]) == 0
    assert str(target) in capsys.readouterr().out
    assert {f"{name}.safetensors" for name in HEADS} <= {path.name for path in target.iterdir()}
    assert json.loads((target / "config.json").read_text())["dtype"] is None
    again = openbind.load(target, device="cpu", dtype="float32")
    for name, tower in load_imagebind(official, HEADS).towers.items():
        for key, value in tower.state_dict().items():
            assert torch.equal(again.towers[name].state_dict()[key], value)


def test_half_and_some(official: Path, tmp_path: Path) -> None:
    """Stored in half precision, only the chosen modalities; our own format converts as well."""
    command = ["convert", str(official), "-o", str(tmp_path / "half"), "--dtype", "float16"]
    hints = ["--hint", "heads.imu=2", "--hint", "heads.thermal=4"]
    assert main([*command, "--modalities", "imu,thermal", *hints]) == 0
    with safe_open(tmp_path / "half" / "imu.safetensors", "pt") as file:
        assert file.get_tensor("head.proj.weight").dtype == torch.float16
    assert not (tmp_path / "half" / "text.safetensors").exists()
    again = ["convert", str(tmp_path / "half"), "-o", str(tmp_path / "imu")]
    assert main([*again, "--modalities", "imu"]) == 0
    assert openbind.load(tmp_path / "imu").modalities == ("imu",)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.pth"], "nowhere.pth"),
        (["imagebind_huge"], "CC-BY-NC-SA"),
        (["base"], "no trained weights"),
        (["starter", "--hint", "heads"], "expected NAME=VALUE"),
        (["starter", "--hint", "heads.imu=2"], "expected none; found heads"),
    ],
)
def test_errors(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line, exit code 1, nothing written."""
    monkeypatch.delenv("OPENBIND_ACCEPT_LICENSE", raising=False)
    assert main(["convert", *arguments, "-o", str(tmp_path / "x")]) == 1
    captured = capsys.readouterr()
    assert (captured.out, len(captured.err.splitlines())) == ("", 1)
    assert message in captured.err
    assert not (tmp_path / "x").exists()


def test_hints() -> None:
    """Dotted names nest, integers are parsed; anything else is an error that quotes the hint."""
    given = ["heads.vision=16", "heads.text= 8", "activation=quick_gelu"]
    assert parse_hints(given) == {
        "heads": {"vision": 16, "text": 8},
        "activation": "quick_gelu",
    }
    for wrong in ("vision", "vision=", "=3", "heads..a=1", ".=1"):
        with pytest.raises(openbind.InputError, match=re.escape(wrong)):
            parse_hints([wrong])
    with pytest.raises(openbind.InputError, match="already"):
        parse_hints(["heads=1", "heads.vision=1"])


def test_wrong_hint_values(official: Path) -> None:
    """Unknown towers, heads that are no number, unknown activations."""
    for hint in ("heads.imus=2", "heads.imu=many"):
        assert main(["convert", str(official), "-o", "x", "--hint", hint]) == 1
    with pytest.raises(openbind.UnknownNameError, match="quick_gelu"):
        load_openclip({}, activation="relu")  # type: ignore[arg-type]
