"""A tower → a graph with a dynamic batch, as a file of another runtime."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from openbind.errors import CheckpointError, MissingExtraError, first_line
from openbind.runtime.manifest import INPUT, OUTPUT

OPSET = 18
"""Of ONNX: graph fusions of runtimes lag newer ones."""
LARGE_BYTES = 1 << 30
"""Of weights, from which they go into a file beside the graph: a graph has at most 2 GB."""
MOST_CLIPS = 1 << 16
"""Of a batch."""


class UnitVectors(nn.Module):
    """A tower whose outputs have unit length.

    Args:
        tower: embeds clips; in evaluation mode and float32.
    """

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, clips: Tensor) -> Tensor:
        """Return unit_BE of clips (B, ...)."""
        return F.normalize(self.tower(clips).float(), dim=-1)


def trace(
    name: str, tower: nn.Module, clips: Tensor, context: int | None = None
) -> ExportedProgram:
    """Trace a tower as a graph whose batch is dynamic.

    Args:
        name: of the modality, for errors.
        tower: in evaluation mode and float32.
        clips: two clips or more, as preprocessing makes them.
        context: most token ids, whose number is dynamic too; None for other clips.

    Raises:
        CheckpointError: the tower can't be traced.
    """
    dynamic: dict[int, Any] = {0: Dim("batch", min=1, max=MOST_CLIPS)}
    if context is not None:
        dynamic[1] = Dim("tokens", min=1, max=context)
    try:
        with torch.no_grad(), quiet():
            return torch.export.export(UnitVectors(tower), (clips,), dynamic_shapes=(dynamic,))
    except Exception as error:  # of many kinds, and no common base
        reason = f"its tower can't be traced ({type(error).__name__}: {first_line(error)})"
        raise CheckpointError(name, f"{reason}; choose others with --modality") from error


def write_onnx(name: str, program: ExportedProgram, path: Path) -> None:
    """Write a traced tower as ONNX; the weights of large ones lie beside it.

    Args:
        name: of the modality, for errors.
        program: from `trace`.
        path: of the file.

    Raises:
        MissingExtraError: without the extra "onnx".
        CheckpointError: the tower has an operation that ONNX lacks.
    """
    for package in ("onnx", "onnxscript"):
        try:
            import_module(package)
        except ImportError as error:
            raise MissingExtraError("writing ONNX", package, "onnx") from error
    size = sum(value.nbytes for value in program.state_dict.values())
    try:
        with torch.no_grad(), quiet():
            torch.onnx.export(
                program,
                (),
                path,
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                external_data=size > LARGE_BYTES,
                optimize=True,
                verbose=False,
            )
    except Exception as error:  # as above
        reason = f"its tower has what ONNX lacks ({_root(error)}); choose others with --modality"
        raise CheckpointError(name, f"{reason}, or --format pt2") from error


def write_pt2(name: str, program: ExportedProgram, path: Path) -> None:
    """Write a traced tower as PyTorch's own file, for `torch.export.load`.

    Raises:
        CheckpointError: it can't be stored.
    """
    try:
        with quiet():
            torch.export.save(program, path)
    except (RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(name, f"its graph can't be stored: {first_line(error)}") from error


WRITERS: dict[str, Callable[[str, ExportedProgram, Path], None]] = {
    "onnx": write_onnx,
    "pt2": write_pt2,
}


def _root(error: BaseException) -> str:
    """Return the first line of what an error came from: the exporter wraps it."""
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence exporters, which report steps, and operations of packages that aren't there."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
