"""What a modality is: one value that says everything about one kind of input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from openbind.errors import InputError


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


@dataclass(frozen=True, kw_only=True)
class View:
    """A part of an item, in shares of the whole, so that both sides of a pair can show the same.

    What has no images leaves `box` and `flip` alone, what doesn't last all the rest.

    Args:
        box: top, left, height and width in [0, 1] of the item's; None is all of it.
        flip: mirrored, left to right.
        span: seconds (start, end) of a longer recording that the item is; None is all of it.
        seconds: length of the excerpt taken of the span; None is all of it.
        moment: in [0, 1], where the excerpt lies between the span's start and its end.
    """

    box: tuple[float, float, float, float] | None = None
    flip: bool = False
    span: tuple[float, float] | None = None
    seconds: float | None = None
    moment: float = 0.5

    def excerpt(self, total_seconds: float, item: Any) -> tuple[float, float]:
        """Start and end, in seconds, of what is shown of a recording of some length.

        A span that ends behind the recording, and an excerpt longer than the span, are cut.

        Args:
            total_seconds: how long the recording lasts.
            item: what errors name.

        Raises:
            InputError: nothing of the span is in the recording.
        """
        first, last = self.span or (0.0, total_seconds)
        if self.span and not 0 <= first < min(last, total_seconds):
            found = f"lasts {total_seconds:.2f} s"
            raise InputError(item, f"{found}; nothing is there from {first:.2f} to {last:.2f} s")
        last = min(last, total_seconds)
        length = last - first if self.seconds is None else min(self.seconds, last - first)
        start = first + self.moment * (last - first - length)
        return start, start + length

    def steps(self, count: int, rate_hz: float, item: Any) -> tuple[int, int]:
        """First of the samples or frames shown, and the one after their last; at least one.

        Args:
            count: how many the recording has.
            rate_hz: samples or frames a second.
            item: what errors name.

        Raises:
            InputError: nothing of the span is in the recording.
        """
        start, end = self.excerpt(count / rate_hz, item)
        # Rounded alone, so that excerpts of one length have one count wherever they lie.
        shown = min(max(1, round((end - start) * rate_hz)), count)
        first = min(round(start * rate_hz), count - shown)
        return first, first + shown

    def crop(self, pixels: np.ndarray) -> np.ndarray:
        """Cut the box out and mirror it.

        Args:
            pixels: (H, W) or (H, W, C).

        Returns:
            at least one pixel; the values are shared with `pixels`.
        """
        if self.box is not None:
            top, left, height, width = self.box
            rows = _share(top, height, pixels.shape[0])
            pixels = pixels[rows, _share(left, width, pixels.shape[1])]
        return pixels[:, ::-1] if self.flip else pixels


def _share(start: float, length: float, size: int) -> slice:
    """Bring a part in shares to pixels."""
    first = min(round(start * size), size - 1)
    return slice(first, max(first + 1, round((start + length) * size)))


@dataclass(frozen=True)
class Part:
    """A part of an item, cut when the item is read: what `show` gives where settings decide how."""

    item: Any
    view: View

    @classmethod
    def of(cls, item: Any) -> Part:
        """Take an item that is no part as all of it."""
        return item if isinstance(item, Part) else cls(item, View())


Preprocess = Callable[[Any], Sample]
Show = Callable[[Any, View], Any]
Draw = Callable[[Any, tuple[int, int]], Image.Image]


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
        has_clips: whether `space.preprocess` shows the axis of clips.
        tower: the tower it goes through unless a space says otherwise.
        scale: the logit scale it is trained with unless a space says otherwise.
        extensions: extensions of the files that hold it, in lower case with the dot.
        files: settings → names of files in the checkpoint's folder that have to travel with it.
        show: (item, view) → the part of the item that a view shows, as something that `prepare`'s
            function takes; used in training. None for kinds that have no parts.
        draw: (item, (width, height)) → a image for people to look at, at most of that size;
            raises `InputError` as the function of `prepare` does. None for words.
    """

    name: str
    accepts: str
    settings: type
    prepare: Callable[[Any, Path | None], Preprocess]
    clip_dims: int
    has_clips: bool
    tower: str
    scale: float
    extensions: frozenset[str] = frozenset()
    files: Callable[[Any], tuple[str, ...]] = lambda settings: ()
    show: Show | None = None
    draw: Draw | None = None
