"""A checkpoint is written completely or not at all; only plain values are unpickled."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from openbind.errors import CheckpointError
from openbind.training.state import RunFolder, keep_as_best, load_state, save_state

STATE = {"step": 3, "towers": {"a": torch.arange(4.0)}, "best": [0.5, 2], "none": None}


def test_round_trip(tmp_path: Path) -> None:
    """A written checkpoint is read back."""
    path = tmp_path / "state" / "last.pt"
    save_state(path, STATE)
    found = load_state(path)
    assert torch.equal(found["towers"]["a"], STATE["towers"]["a"])  # type: ignore[index]
    assert (found["step"], found["best"], found["none"]) == (3, [0.5, 2], None)
    assert [p.name for p in path.parent.iterdir()] == ["last.pt"]


def test_best(tmp_path: Path) -> None:
    """The best is a hard link of the last, and stays when the last is replaced."""
    folder = RunFolder(tmp_path)
    save_state(folder.last, {"step": 1})
    keep_as_best(folder)
    assert os.path.samefile(folder.last, folder.best)
    save_state(folder.last, {"step": 2})
    assert (load_state(folder.best)["step"], load_state(folder.last)["step"]) == (1, 2)
    keep_as_best(folder)
    assert load_state(folder.best)["step"] == 2


def test_broken(tmp_path: Path) -> None:
    """Missing, truncated and other files are refused by name."""
    path = tmp_path / "last.pt"
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_state(path)
    save_state(path, STATE)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(CheckpointError, match=r"last\.pt: truncated or not a checkpoint"):
        load_state(path)
    torch.save({"weights": torch.ones(1)}, path)
    with pytest.raises(CheckpointError, match="format"):
        load_state(path)


class Bomb:
    """Runs a command if it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("exit 1",)


def test_no_code(tmp_path: Path) -> None:
    """A checkpoint with code is refused."""
    path = tmp_path / "last.pt"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        load_state(path)


def test_no_advice_to_run_code(tmp_path: Path) -> None:
    """What is refused in a whole file is named, without PyTorch's advice to load it anyway."""
    path = tmp_path / "last.pt"
    torch.save({"format": 2, "x": Bomb()}, path)
    with pytest.raises(CheckpointError, match="not unpickled") as caught:
        load_state(path)
    assert "weights_only" not in str(caught.value)
    assert "\n" not in str(caught.value)


FILL_DISK = """
import resource, sys, signal
from pathlib import Path
import torch
from openbind.errors import CheckpointError
from openbind.training.state import load_state, save_state
path = Path(sys.argv[1])
save_state(path, {"step": 1, "x": torch.zeros(1000)})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))  # files beyond 64 KiB fail
try:
    save_state(path, {"step": 2, "x": torch.zeros(1 << 20)})
except CheckpointError as error:
    print(error)
assert load_state(path)["step"] == 1
assert len(list(path.parent.iterdir())) == 1
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limits of file sizes there")
def test_full_disk(tmp_path: Path) -> None:
    """A full disk leaves the previous checkpoint; the error says what to do."""
    path = tmp_path / "state" / "last.pt"
    result = subprocess.run(
        [sys.executable, "-c", FILL_DISK, str(path)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "couldn't be written" in result.stdout
    assert "--resume" in result.stdout
