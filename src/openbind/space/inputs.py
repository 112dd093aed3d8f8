"""What callers hand to `Space.encode`: one item or several, and what to do with one that fails."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from openbind.errors import InputError, MissingExtraError
from openbind.modalities.spec import Modality

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
