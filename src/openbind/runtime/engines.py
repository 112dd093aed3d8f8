"""Libraries that run graphs, each opened on first use."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openbind.errors import CheckpointError, MissingExtraError, first_line
from openbind.registry import Registry
from openbind.runtime.manifest import INPUT

if TYPE_CHECKING:
    import numpy as np  # not imported by whoever only wants the names

Run = Callable[["np.ndarray"], "np.ndarray"]
"""Clips (batch, ...) → unit vectors (batch, dim)."""

ENGINES = Registry(
    "runtime",
    "openbind.runtimes",
    {
        "onnx": "openbind.runtime.engines:open_onnx_runtime",
        "openvino": "openbind.runtime.engines:open_openvino",
    },
)
THREADS = "OMP_NUM_THREADS"
"""Variable that bounds the threads of both libraries, as it does PyTorch's."""
PRECISIONS = {"auto": "f32", "float32": "f32", "bfloat16": "bf16"}


def open_onnx_runtime(path: Path, dtype: str) -> Run:
    """Open a graph with ONNX Runtime on the CPU.

    Args:
        path: of the file.
        dtype: "auto" or "float32": it has no other products on CPUs.

    Raises:
        MissingExtraError: without the extra "onnx".
        CheckpointError: the file or the precision can't be used.
    """
    if dtype not in ("auto", "float32"):
        raise CheckpointError(path, f"ONNX Runtime computes in float32, not in {dtype}")
    library, numpy = _import("onnxruntime", "onnx"), import_module("numpy")
    options = library.SessionOptions()
    options.intra_op_num_threads = _threads()
    options.log_severity_level = 3
    try:
        session = library.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library has no base class of its own
        raise CheckpointError(path, f"ONNX Runtime can't open it: {first_line(error)}") from error
    return lambda clips: numpy.asarray(session.run(None, {INPUT: clips})[0])


def open_openvino(path: Path, dtype: str) -> Run:
    """Open a graph with OpenVINO on the CPU.

    Args:
        path: of the file.
        dtype: "auto" and "float32" compute in float32, "bfloat16" where the processor can.

    Raises:
        MissingExtraError: without the extra "openvino".
        CheckpointError: the file or the precision can't be used.
    """
    if dtype not in PRECISIONS:
        raise CheckpointError(path, f"OpenVINO: expected {', '.join(PRECISIONS)}, found {dtype}")
    library, numpy = _import("openvino", "openvino"), import_module("numpy")
    config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": PRECISIONS[dtype]}
    if _threads():
        config["INFERENCE_NUM_THREADS"] = str(_threads())
    try:
        core = library.Core()
        compiled = core.compile_model(core.read_model(str(path)), "CPU", config)
    except Exception as error:  # as above
        reason = f"OpenVINO can't open it ({first_line(error)}); choose others by modalities="
        raise CheckpointError(path, reason) from error
    # Results are copied: the next call writes into the same memory.
    return lambda clips: numpy.array(compiled({INPUT: clips})[0])


def _import(package: str, extra: str) -> Any:
    try:
        return import_module(package)
    except ImportError as error:
        raise MissingExtraError("running an exported space", package, extra) from error


def _threads() -> int:
    """Return how many threads may compute; 0 leaves it to the library."""
    stated = os.environ.get(THREADS, "")
    return int(stated) if stated.isdecimal() else 0
