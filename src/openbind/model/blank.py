"""Networks without memory for weights, until those of a file are assigned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class _NoInitialWeights(TorchFunctionMode):
    """Skips the functions of `torch.nn.init`."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = dict(kwargs or {})
        if getattr(func, "__module__", "") == "torch.nn.init":
            return options["tensor"] if "tensor" in options else args[0]
        return func(*args, **options)


@contextmanager
def blank_weights() -> Iterator[None]:
    """Build modules on the meta device without drawing initial weights.

    Saves memory, and 2 s: drawing normal numbers on the meta device imports PyTorch's compiler.
    """
    # The mode entered last is called first.
    with torch.device("meta"), _NoInitialWeights():
        yield
