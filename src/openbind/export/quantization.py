"""Convolutions of a graph in 8 bits, by ONNX Runtime's calibration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from openbind.errors import CheckpointError, MissingExtraError, first_line
from openbind.export.graphs import quiet
from openbind.runtime.manifest import INPUT

BETWEEN = ("Clip", "Relu", "MaxPool")
"""Operations that are computed in 8 bits where they are between convolutions. Sums aren't: that
would be slower and no nearer."""
PRODUCTS = ("Conv", "MatMul", "Gemm")
CALIBRATION_CLIPS = 4
"""Clips of a batch of calibration: they show the range of every intermediate."""


def quantize_convolutions(name: str, path: Path, clips: Iterable[np.ndarray]) -> bool:
    """Store the convolutions of a graph in int8, one scale a channel, with uint8 activations.

    Products after the last convolution stay in float32, and so does a graph of other products.

    Args:
        name: of the modality, for errors.
        path: of the graph, which is replaced.
        clips: batches to calibrate with.

    Returns:
        whether the graph was changed: most of its products are convolutions.

    Raises:
        MissingExtraError: without the extra "onnx".
        CheckpointError: it can't be quantized.
    """
    try:
        onnx = import_module("onnx")
        library: Any = import_module("onnxruntime.quantization")
    except ImportError as error:
        raise MissingExtraError("quantizing", "onnxruntime", "onnx") from error
    nodes = list(onnx.load(path).graph.node)
    kinds = [node.op_type for node in nodes]
    if 2 * kinds.count("Conv") <= sum(map(kinds.count, PRODUCTS)):
        return False
    last = len(kinds) - 1 - kinds[::-1].index("Conv")
    chosen = [n.name for n in nodes[: last + 2] if n.op_type in ("Conv", *BETWEEN)]
    quantized = path.with_suffix(".int8")
    try:
        with quiet():
            library.quantize_static(
                path,
                quantized,
                _reader(library, iter(clips)),
                quant_format=library.QuantFormat.QDQ,
                per_channel=True,
                activation_type=library.QuantType.QUInt8,
                weight_type=library.QuantType.QInt8,
                nodes_to_quantize=chosen,
            )
        quantized.replace(path)
    except Exception as error:  # the library has no base class of its own
        raise CheckpointError(name, f"can't be quantized: {first_line(error)}") from error
    return True


def _reader(library: Any, batches: Iterator[np.ndarray]) -> Any:
    """Return batches as the library asks for them."""

    class Reader(library.CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(batches, None)
            return None if batch is None else {INPUT: batch}

    return Reader()
