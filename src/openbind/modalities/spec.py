"""What a modality is: one value that says everything about one kind of input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True)
class Sample:
    """One item, ready for its tower.

    Args:
        clips: (clips, ...) one row for each clip that the item was cut into; an item that isn't
            cut has one.
        times: start and end of each clip in seconds, for items that last.
    """

    clips: torch.Tensor
    times: tuple[tuple[float, float], ...] | None = None


Preprocess = Callable[[Any], Sample]


@dataclass(frozen=True, kw_only=True)
class Modality:
    """Everything about one kind of input.

    Args:
        name: what callers say: `space.encode(name, items)`.
        accepts: what may be handed in, with units, in one sentence.
        settings: frozen dataclass of all that decides a preprocessed number; it travels in the
            checkpoint.
        prepare: (settings, folder) → a function from one item to its `Sample`. `folder` is where
            the checkpoint's own files are (a vocabulary, say), or None. The function raises
            `InputError` for items that can't be used and never changes what it is given.
        clip_dims: number of axes of one clip, without batch and clips: 3 for (C, H, W).
        keeps_clips: whether `space.preprocess` shows the axis of clips.
        tower: the tower it goes through unless a space says otherwise.
        scale: the logit scale it is trained with unless a space says otherwise.
        extensions: endings of the files that hold it, in lower case with the dot.
        files: settings → names of files in the checkpoint's folder that have to travel with it.
    """

    name: str
    accepts: str
    settings: type
    prepare: Callable[[Any, Path | None], Preprocess]
    clip_dims: int
    keeps_clips: bool
    tower: str
    scale: float
    extensions: frozenset[str] = frozenset()
    files: Callable[[Any], tuple[str, ...]] = lambda settings: ()
