"""Several machines: two launchers are one job; a killed process goes on from the checkpoint."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import openbind
from openbind.training.recipe_file import read_recipe
from openbind.training.run import train

ROOT = Path(__file__).parents[2]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
EXACT = {"towers.imu.config.trunk.drop_path": "0.0", "towers.imu.config.head.dropout": "0.0"}
OPTIONS = [part for key, value in EXACT.items() for part in ("--set", f"{key}={value}")]


@pytest.fixture(scope="module")
def alone(world: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one process."""
    output = tmp_path_factory.mktemp("alone") / "run"
    train(read_recipe(world.recipe, EXACT), world.folder, output)
    return output


def losses(folder: Path) -> list[tuple[int, float]]:
    lines = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
    return [(line["step"], line["loss"]) for line in lines if "loss" in line]


def assert_alike(folder: Path, alone: Path, item: Path) -> None:
    np.testing.assert_allclose(np.array(losses(folder)), np.array(losses(alone)), rtol=1e-4)
    vectors = [openbind.load(run).encode("imu", [item]) for run in (folder, alone)]
    assert (vectors[0] @ vectors[1].T).item() > 0.9999


@pytest.mark.slow
def test_two_nodes(world: Any, alone: Path, tmp_path: Path) -> None:
    """Two launchers that meet at one address train as one process does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    node = ["--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d", "--rdzv-id", "job"]
    node += ["--rdzv-endpoint", f"127.0.0.1:{port}", "--local-addr", "127.0.0.1"]
    command = [*TORCHRUN, *node, "-m", "openbind", "train", str(world.recipe), *OPTIONS]
    command += ["--output", str(tmp_path / "run")]
    nodes = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    errors = [launched.communicate(timeout=600)[1].decode() for launched in nodes]
    assert [launched.returncode for launched in nodes] == [0, 0], errors
    assert_alike(tmp_path / "run", alone, world.folder / "7.csv")


KILLED = """
import os, signal, sys
from openbind.cli.main import main
from openbind.training.trainer import Trainer

take_step = Trainer.take_step

def take_or_die(self, step, batches):
    if step == 7 and os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        os.kill(os.getpid(), signal.SIGKILL)
    return take_step(self, step, batches)

Trainer.take_step = take_or_die
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_restart(world: Any, alone: Path, tmp_path: Path) -> None:
    """A job whose process was killed is started again by torchrun, and goes on."""
    (tmp_path / "killed.py").write_text(KILLED)
    command = [*TORCHRUN, "--standalone", "--nproc-per-node", "2", "--max-restarts", "1"]
    command += [str(tmp_path / "killed.py"), "train", str(world.recipe), *OPTIONS]
    command += ["--output", str(tmp_path / "run")]
    # Otherwise processes read addresses of those before the restart (pytorch/pytorch#135712).
    own = {**os.environ, "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=600, env=own
    )
    assert done.returncode == 0, done.stderr
    assert_alike(tmp_path / "run", alone, world.folder / "7.csv")


def test_batch_script() -> None:
    """The batch script is valid, and starts the job so that it goes on when it is started again."""
    script = ROOT / "examples" / "train.sbatch"
    bash = shutil.which("bash")
    assert bash is not None
    subprocess.run([bash, "-n", str(script)], check=True)
    text = script.read_text()
    assert all(
        part in text for part in ("STORE=1", "#SBATCH --nodes", "--rdzv-backend c10d", "--resume")
    )
