"""What callers hand to `Space.encode`: one item or several, and what to do with one that fails."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from openbind.errors import InputError, MissingExtraError, UnknownNameError
from openbind.modalities import MODALITIES
from openbind.modalities.spec import Modality
from openbind.space.config import SpaceConfig

if TYPE_CHECKING:
    import torch

OnError = str | Callable[[int, InputError], None]
""""raise", "warn", or a function called with (index, error)."""


def is_many(items: Any, spec: Modality) -> bool:
    """Return whether `items` holds several: a list, an iterator, a tuple other than (x, rate).

    An array is one item, unless the modality says that its axes are those of several; an array of
    strings or objects, and a pandas Series, hold several.
    """
    if isinstance(items, tuple):
        return not (len(items) == 2 and isinstance(items[1], int | float | np.number))
    if isinstance(items, str | bytes | os.PathLike | Mapping):
        return False
    if hasattr(items, "__array__") and not hasattr(items, "getbands"):
        return spec.is_batch(items)
    return isinstance(items, Iterable) and not hasattr(items, "getbands")


def report_error(index: int, error: InputError, on_error: OnError) -> None:
    """Do with an item's error what the caller chose, see `Space.encode`."""
    if callable(on_error):
        on_error(index, error)
    elif on_error == "warn":
        warnings.warn(str(error), stacklevel=3)
    elif on_error == "raise":
        cause = error.__cause__
        raise cause if isinstance(cause, MissingExtraError) else error
    else:
        raise ValueError(f"on_error: expected 'raise', 'warn' or a function, found {on_error!r}")


def stack_items(modality: str, samples: Sequence[torch.Tensor]) -> torch.Tensor:
    """Stack the preprocessed tensors of several items.

    Raises:
        InputError: they have different shapes.
    """
    import torch

    shapes = {tuple(clips.shape) for clips in samples}
    if len(shapes) > 1:
        raise InputError(
            f"{len(samples)} {modality} items",
            f"they have different shapes {sorted(shapes)}; preprocess them one by one",
        )
    return torch.stack(list(samples))


def modality_of_tensor(config: SpaceConfig, key: str, axes: int) -> str:
    """Return which modality a preprocessed tensor is of.

    Args:
        config: of the space.
        key: name of a modality or of a tower; towers may be shared.
        axes: of the tensor.

    Raises:
        InputError: a number of axes that the modality doesn't take.
        UnknownNameError: neither a modality nor a tower.
    """
    sharing = [n for n, b in config.modalities.items() if key in (n, b.tower)]
    named = [key] if key in config.modalities else sharing
    if not named:
        towers = (b.tower for b in config.modalities.values())
        raise UnknownNameError("modality or tower", key, [*config.modalities, *towers])
    dims = {name: MODALITIES.get(name).clip_dims for name in named}
    for name in named:
        if axes - dims[name] in (1, 2):
            return name
    expected = " or ".join(str(dims[name] + 1) for name in named)
    raise InputError(
        f"tensor for {key!r}", f"expected {expected} axes (one more with clips), found {axes}"
    )
