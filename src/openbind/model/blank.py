"""Networks without weights: shapes only, until those of a file are put in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class _NoInitialWeights(TorchFunctionMode):
    """Leaves tensors as they are where `torch.nn.init` would fill them."""

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
    """Build modules on the meta device and draw no initial weights.

    Besides the memory it saves the time: drawing normal numbers on the meta device makes PyTorch
    import its compiler, 2 s that nobody waits for gladly.
    """
    # The mode entered last is asked first.
    with torch.device("meta"), _NoInitialWeights():
        yield
