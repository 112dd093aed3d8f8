"""The files of a run, and its checkpoints.

runs/my-run/
  recipe.yaml     the complete recipe
  space/          the result; `openbind.load("runs/my-run")` loads it
  log.jsonl       a line for each logged step and each validation
  events/         the same for TensorBoard
  skipped.jsonl   items that couldn't be used, and why
  samples/        an image at each validation: held rows, and the frozen items nearest to them
  adapters/       LoRA adapters by themselves, one folder for each modality
  state/last.pt   the newest checkpoint; state/best.pt the best by validation
  state/rows/     vectors of the frozen side, and a frozen body's features
"""

from __future__ import annotations

import os
import pickle
import secrets
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from openbind.atomic import atomic_path
from openbind.checkpoints.native import RESULT
from openbind.checkpoints.tensors import explain_refusal
from openbind.errors import CheckpointError, first_line

FORMAT = 2


@dataclass(frozen=True)
class RunFolder:
    """Paths in a run's folder.

    Args:
        path: of the folder.
    """

    path: Path

    @property
    def recipe(self) -> Path:
        """The complete recipe."""
        return self.path / "recipe.yaml"

    @property
    def space(self) -> Path:
        """The resulting space."""
        return self.path / RESULT

    @property
    def log(self) -> Path:
        """Numbers of the steps."""
        return self.path / "log.jsonl"

    @property
    def events(self) -> Path:
        """TensorBoard's files."""
        return self.path / "events"

    @property
    def skipped(self) -> Path:
        """Items that couldn't be used."""
        return self.path / "skipped.jsonl"

    @property
    def tracker_id(self) -> Path:
        """The id of the run at Weights & Biases and trackio."""
        return self.path / "state" / "run-id"

    @property
    def samples(self) -> Path:
        """Images of what held rows retrieve."""
        return self.path / "samples"

    @property
    def adapters(self) -> Path:
        """LoRA adapters, one folder for each modality."""
        return self.path / "adapters"

    @property
    def last(self) -> Path:
        """The newest checkpoint."""
        return self.path / "state" / "last.pt"

    @property
    def best(self) -> Path:
        """The best checkpoint by validation."""
        return self.path / "state" / "best.pt"

    @property
    def rows(self) -> Path:
        """The folder of vectors and features that were computed before the first step."""
        return self.path / "state" / "rows"


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint completely, or leave the previous one.

    Args:
        path: of the file.
        state: tensors, numbers and texts, in mappings and lists.

    Raises:
        CheckpointError: it can't be written, for instance because the disk is full.
    """
    try:
        with atomic_path(path) as temporary:
            torch.save({"format": FORMAT, **state}, temporary)
    except (OSError, RuntimeError) as error:
        # PyTorch's writer reports a full disk as a RuntimeError.
        raise CheckpointError(
            path,
            f"couldn't be written ({error}); the previous one is intact: free space, then resume "
            "with --resume",
        ) from error


def keep_as_best(folder: RunFolder) -> None:
    """Make the newest checkpoint the best one, as a hard link."""
    temporary = folder.best.with_name(f".best.{secrets.token_hex(6)}.pt")
    os.link(folder.last, temporary)
    temporary.replace(folder.best)


def load_state(path: Path) -> dict[str, Any]:
    """Read a checkpoint; only tensors and plain values are unpickled.

    Raises:
        CheckpointError: missing, truncated, or of another format.
    """
    if not path.is_file():
        raise CheckpointError(path, "no such checkpoint; start without --resume")
    if not zipfile.is_zipfile(path):
        raise CheckpointError(path, "truncated or not a checkpoint")
    try:
        # Mapped: the processes of one machine share the memory.
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(path, explain_refusal(error)) from error
    except Exception as error:  # a damaged file can raise anything
        raise CheckpointError(
            path, f"truncated or not a checkpoint: {first_line(error)}"
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(path, f"expected a checkpoint of format {FORMAT}")
    return dict(state)
