"""`openbind train` runs a recipe, in one process or under torchrun, and prints the folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import openbind
from openbind.cli.main import main
from openbind.cli.train import parse_changes
from openbind.errors import InputError
from openbind.training.recipe_file import read_recipe
from tests.tiny_world import own_cache, world
from tests.warm import Warm, run_ranks

__all__ = ["own_cache", "world"]  # fixtures

EXACT = [
    "--set",
    "towers.imu.config.trunk.drop_path=0.0",
    "--set",
    "towers.imu.config.head.dropout=0.0",
]


def losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def skipped(folder: Path) -> set[str]:
    lines = (folder / "skipped.jsonl").read_text().splitlines()
    return {json.loads(line)["item"] for line in lines}


def test_train(
    world: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result is runs/NAME; stdout has only its path; it loads as a space."""
    monkeypatch.chdir(tmp_path)
    options = ["--device", "cpu", "--batch-size", "2", "--workers", "1"]
    assert main(["train", str(world.recipe), *options]) == 0
    printed = capsys.readouterr()
    assert printed.out == "runs/tiny-run\n"
    assert 'openbind.load("runs/tiny-run")' in printed.err
    assert openbind.load("runs/tiny-run").modalities == ("image", "imu")
    hardware = read_recipe("runs/tiny-run/recipe.yaml").hardware
    assert (hardware.device, hardware.embed_batch_size, hardware.embed_workers) == ("cpu", 2, 1)
    assert main(["train", str(world.recipe)]) == 1
    assert "--resume" in capsys.readouterr().err
    assert main(["train", str(world.recipe), "--resume", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"run": "runs/tiny-run"}


def test_schema(capsys: pytest.CaptureFixture[str]) -> None:
    """`--schema` needs no recipe and prints one JSON object."""
    with pytest.raises(SystemExit) as exit_:
        main(["train", "--schema"])
    assert exit_.value.code == 0
    assert "pairs" in json.loads(capsys.readouterr().out)["properties"]


@pytest.mark.slow
def test_torchrun(world: Any, tmp_path: Path, warm: Warm) -> None:
    """Two processes, with DDP or FSDP2, train like one, and list the items that any skipped.

    Those with FSDP2 are started as torchrun starts them, but without importing PyTorch again.
    """
    bad = [f"{i}.png,{i}-bad.csv,red,train" for i in range(4)]
    lines = (world.folder / "pairs.csv").read_text().splitlines()
    (world.folder / "some-bad.csv").write_text("\n".join([*lines, *bad]) + "\n")
    for i in range(4):
        (world.folder / f"{i}-bad.csv").write_text("seconds,ax\n0,1\n")
    options = [*EXACT, "--set", "pairs.0.data={manifest: some-bad.csv}"]
    common = ["-m", "openbind", "train", str(world.recipe), *options]
    assert main([*common[2:], "--output", str(tmp_path / "one")]) == 0
    assert len(skipped(tmp_path / "one")) == 4
    for parallel in ("ddp", "fsdp"):
        verb = [*common, "--output", str(tmp_path / parallel)]
        verb += ["--set", f"hardware.parallel={parallel}"]
        if parallel == "ddp":
            command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
            command += ["--nproc-per-node", "2", *verb]
            subprocess.run(command, check=True, capture_output=True, timeout=120)
        else:
            run_ranks(warm, verb[2:])
        assert np.allclose(losses(tmp_path / parallel), losses(tmp_path / "one"), atol=1e-4)
        assert skipped(tmp_path / parallel) == skipped(tmp_path / "one")
        a = openbind.load(tmp_path / parallel).encode("imu", [world.folder / "3.csv"])
        b = openbind.load(tmp_path / "one").encode("imu", [world.folder / "3.csv"])
        assert (a @ b.T).item() > 0.9999


def test_changes() -> None:
    """`--set` takes KEY=VALUE only."""
    assert parse_changes(["a.b=1", "c=x=y"]) == {"a.b": "1", "c": "x=y"}
    with pytest.raises(InputError, match="expected KEY=VALUE"):
        parse_changes(["a.b"])


def test_mistakes(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistake is one line on stderr and exit code 1."""
    assert main(["train", str(world.recipe), "--set", "schedule.warmup_step=1"]) == 1
    assert "did you mean 'warmup_steps'" in capsys.readouterr().err
    assert main(["train", "nothing.yaml"]) == 1
    assert "can't be read as a recipe" in capsys.readouterr().err
    assert main(["train", str(world.recipe), "--data", "nowhere"]) == 1
    assert "no such folder" in capsys.readouterr().err
