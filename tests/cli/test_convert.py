"""`openbind convert` writes weights of others in our own format, or says in one line why not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import openbind
from openbind.checkpoints import load_imagebind
from openbind.cli.convert import parse_heads
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
    """Equal bit-exactly, with the heads that were said; the machine chooses the precision."""
    target = tmp_path / "ours"
    heads = ",".join(f"{name}={count}" for name, count in HEADS.items())
    assert main(["convert", str(official), "-o", str(target), "--heads", heads]) == 0
    assert str(target) in capsys.readouterr().out
    assert {f"{name}.safetensors" for name in HEADS} <= {path.name for path in target.iterdir()}
    assert json.loads((target / "config.json").read_text())["dtype"] is None
    again = openbind.load(target, device="cpu", dtype="float32")
    for name, tower in load_imagebind(official, HEADS).towers.items():
        for key, value in tower.state_dict().items():
            assert torch.equal(again.towers[name].state_dict()[key], value)


def test_half_and_some(official: Path, tmp_path: Path) -> None:
    """Half the bytes, and only what was asked for; ours converts again."""
    command = ["convert", str(official), "-o", str(tmp_path / "half"), "--dtype", "float16"]
    assert main([*command, "--only", "imu,thermal", "--heads", "imu=2,thermal=4"]) == 0
    with safe_open(tmp_path / "half" / "imu.safetensors", "pt") as file:
        assert file.get_tensor("head.proj.weight").dtype == torch.float16
    assert not (tmp_path / "half" / "text.safetensors").exists()
    assert main(["convert", str(tmp_path / "half"), "-o", str(tmp_path / "imu"), "--only", "imu"])\
        == 0  # fmt: skip
    assert openbind.load(tmp_path / "imu").modalities == ("imu",)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.pth"], "no space or directory named 'nowhere.pth'"),
        (["imagebind_huge"], "CC-BY-NC-SA"),
        (["base"], "no trained weights"),
        (["starter", "--heads", "imu=many"], "expected TOWER=NUMBER"),
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


def test_heads() -> None:
    """Pairs."""
    assert parse_heads("vision=16, text=8") == {"vision": 16, "text": 8}
    for wrong in ("vision", "vision=0", "=3", "vision=-1"):
        with pytest.raises(openbind.InputError):
            parse_heads(wrong)
