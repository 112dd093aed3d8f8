"""Definition of a modality: one `Modality` holds everything about one kind of input."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from openbind.configs import from_dict, to_dict
from openbind.errors import InputError
from openbind.media.arrays import is_tensor

if TYPE_CHECKING:
    import torch

CHANNEL_COUNTS = (1, 3, 4)
"""Lengths of a map's third axis that make it the channels of one item."""


Draw = Callable[[tuple[int, int]], Image.Image]


@dataclass(frozen=True)
class Extent:
    """What part of an image a tower sees.

    Args:
        size: width and height of the image in pixels, upright.
        area: (left, top, right, bottom) of what is seen, as fractions of the size; beyond [0, 1]
            where the image was padded.
    """

    size: tuple[int, int]
    area: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)

    @classmethod
    def center(cls, size: tuple[int, int]) -> Extent:
        """Return the square in the middle of an image."""
        width, height = size
        short = min(size)
        left, top = (1 - short / width) / 2, (1 - short / height) / 2
        return cls(size, (left, top, 1 - left, 1 - top))


@dataclass(frozen=True)
class Sample:
    """One preprocessed item: the input of a tower.

    Args:
        clips: (clips, ...) one row per clip of the item; items that aren't cut into clips have
            one row.
        times: start and end of each clip in seconds, for recordings.
        draw: (width, height) → an RGB image of at most that size, from what was decoded anyway;
            None where only `Modality.thumbnail` draws.
        thumbnail: a JPEG, where the decoder was asked for it.
        extent: of an image, what part of it the tower sees.
    """

    clips: torch.Tensor
    times: tuple[tuple[float, float], ...] | None = None
    draw: Draw | None = field(default=None, repr=False, compare=False)
    thumbnail: bytes | None = None
    extent: Extent | None = None


@dataclass(frozen=True)
class ArraySample:
    """One item, preprocessed without PyTorch.

    Args:
        clips, times, extent: as of a `Sample`; the clips are a NumPy array.
    """

    clips: np.ndarray
    times: tuple[tuple[float, float], ...] | None = None
    extent: Extent | None = None

    def to_sample(self) -> Sample:
        """Return the same with a tensor, which shares memory."""
        import torch

        return Sample(torch.from_numpy(self.clips), self.times, extent=self.extent)


@dataclass(frozen=True, kw_only=True)
class View:
    """A part of an item, as fractions of the whole, so that both sides of a pair can share it.

    Modalities without pixels ignore `box` and `flip`; still images ignore the other fields.

    Args:
        box: (top, left, height, width) in [0, 1] of the item's size; None is the whole.
        flip: mirror left to right.
        span: (start, end) in seconds of a longer recording; None is the whole.
        seconds: length of the excerpt taken from the span; None is the whole span.
        moment: in [0, 1], position of the excerpt between the span's start and end.
    """

    box: tuple[float, float, float, float] | None = None
    flip: bool = False
    span: tuple[float, float] | None = None
    seconds: float | None = None
    moment: float = 0.5

    def excerpt(self, total_seconds: float, item: Any) -> tuple[float, float]:
        """Return start and end of the view in seconds.

        Spans that end after the recording, and excerpts longer than the span, are clipped.

        Args:
            total_seconds: duration of the recording.
            item: named by errors.

        Raises:
            InputError: the span lies outside the recording.
        """
        first, last = self.span or (0.0, total_seconds)
        if self.span and not 0 <= first < min(last, total_seconds):
            reason = f"lasts {total_seconds:.2f} s; the span {first:.2f} to {last:.2f} s is outside"
            raise InputError(item, reason)
        last = min(last, total_seconds)
        length = last - first if self.seconds is None else min(self.seconds, last - first)
        start = first + self.moment * (last - first - length)
        return start, start + length

    def steps(self, count: int, rate_hz: float, item: Any) -> tuple[int, int]:
        """Return the view as samples or frames: the first, and one past the last; never empty.

        Args:
            count: samples or frames of the recording.
            rate_hz: samples or frames per second.
            item: named by errors.

        Raises:
            InputError: the span lies outside the recording.
        """
        start, end = self.excerpt(count / rate_hz, item)
        # The length is rounded by itself, so excerpts of equal length have equal counts wherever
        # they start.
        length = min(max(1, round((end - start) * rate_hz)), count)
        first = min(round(start * rate_hz), count - length)
        return first, first + length

    def crop(self, pixels: np.ndarray) -> np.ndarray:
        """Crop to the box, then mirror.

        Args:
            pixels: (H, W) or (H, W, C).

        Returns:
            at least one pixel; a NumPy view that shares memory with `pixels`.
        """
        if self.box is not None:
            top, left, height, width = self.box
            rows = _pixel_range(top, height, pixels.shape[0])
            pixels = pixels[rows, _pixel_range(left, width, pixels.shape[1])]
        return pixels[:, ::-1] if self.flip else pixels


def _pixel_range(start: float, length: float, size: int) -> slice:
    """Convert fractions of an axis to pixels."""
    first = min(round(start * size), size - 1)
    return slice(first, max(first + 1, round((start + length) * size)))


@dataclass(frozen=True)
class Part:
    """A view of an item, cut out when the item is preprocessed, where settings decide how."""

    item: Any
    view: View

    @classmethod
    def of(cls, item: Any) -> Part:
        """Return a part unchanged, and any other item as the part that is all of it."""
        return item if isinstance(item, Part) else cls(item, View())


Preprocess = Callable[[Any], Sample]
PreprocessArrays = Callable[[Any], ArraySample]
ApplyView = Callable[[Any, View], Any]
ReadViews = Callable[[Any, Sequence[View]], Iterator[Any]]
Thumbnail = Callable[[Any, tuple[int, int]], Image.Image]


def _no_files(settings: Any) -> tuple[str, ...]:
    return ()  # a function with a name, so that modalities can be sent to processes


@dataclass(frozen=True, kw_only=True)
class Modality:
    """Everything about one kind of input.

    Args:
        name: as in `space.encode(name, items)`.
        accepts: accepted items with their units, in one sentence.
        settings: frozen dataclass of everything that decides a preprocessed number; it is saved
            in the checkpoint.
        prepare: (settings, folder) → function from one item to its `Sample`. `folder` holds the
            checkpoint's own files (a vocabulary, for example), or is None. The function raises
            `InputError` for unusable items and never modifies its argument.
        clip_dims: number of axes of one clip, without batch and clips: 3 for (C, H, W).
        has_clips: whether `space.preprocess` returns an axis of clips.
        tower: default tower of the modality.
        scale: default logit scale.
        version: of the preprocessing, part of every vector's identity. Raise it whenever a change
            of the code changes preprocessed numbers.
        array_dims: number of axes of one item's array; arrays of more axes hold several items.
            2 is a map (H, W), with or without channels. None means `clip_dims`.
        extensions: file extensions of the modality, in lower case with the dot.
        files: settings → names of the files in the checkpoint's folder that the settings use.
        apply_view: (item, view) → the viewed part, as an item that `prepare`'s function takes.
            None for modalities without parts.
        open_views: (item, views) → what `apply_view` returns for each view, in order and lazily,
            with the item opened once; closing the iterator closes the file. None calls
            `apply_view` for each view.
        thumbnail: (item, (width, height)) → an RGB image of at most that size; raises
            `InputError` as `prepare`'s function does. None for modalities that can't be drawn.
        duration: item → seconds of a recording; raises `InputError` as `prepare`'s function does.
            None for modalities without time.
        clip_seconds: settings → seconds of a clip of a recording.
        prepare_arrays: as `prepare`, with NumPy arrays and without importing PyTorch, for exported
            spaces. None where `prepare` alone can do it.
    """

    name: str
    accepts: str
    settings: type
    prepare: Callable[[Any, Path | None], Preprocess]
    clip_dims: int
    has_clips: bool
    tower: str
    scale: float
    version: int = 1
    array_dims: int | None = None
    extensions: frozenset[str] = frozenset()
    files: Callable[[Any], tuple[str, ...]] = _no_files
    apply_view: ApplyView | None = None
    open_views: ReadViews | None = None
    thumbnail: Thumbnail | None = None
    duration: Callable[[Any], float] | None = None
    clip_seconds: Callable[[Any], float] | None = None
    prepare_arrays: Callable[[Any, Path | None], PreprocessArrays] | None = None

    def change(self, settings: Any, changes: Mapping[str, Any]) -> Any:
        """Return settings with some fields changed.

        Args:
            settings: of this modality.
            changes: field → plain value, such as {"clips": "cover"} for audio.

        Raises:
            ConfigError: no such field (the nearest is named), or a wrong value.
        """
        return from_dict(self.settings, {**to_dict(settings), **to_dict(changes)}, self.name)

    def is_batch(self, array: Any) -> bool:
        """Return whether an array holds several items.

        Arrays of strings or objects do; of numbers, those with more axes than one item. The third
        axis of a map is its channels if it has 1, 3 or 4 of them: the last axis of an array, the
        first of a PyTorch tensor.

        Args:
            array: array, tensor or column of a table.
        """
        dims = getattr(array, "ndim", 0)
        # Kinds of NumPy: object, str, bytes, and variable-length str. PyTorch's types have none.
        if getattr(getattr(array, "dtype", None), "kind", None) in ("O", "U", "S", "T"):
            return bool(dims > 0)
        item_dims = self.clip_dims if self.array_dims is None else self.array_dims
        if self.array_dims == 2 and dims == 3:
            return array.shape[0 if is_tensor(array) else 2] not in CHANNEL_COUNTS
        return bool(dims > item_dims)

    def read_views(self, item: Any, views: Sequence[View]) -> Generator[Any, None, None]:
        """Yield what `prepare`'s function takes for each view, in order, one at a time.

        The item is opened once. `View()` yields the item itself, or an equivalent one.

        Args:
            item: any that `prepare`'s function takes.
            views: parts of it.

        Raises:
            InputError: the item is unusable, a span lies outside it, or the modality has no parts.
        """
        if self.open_views is not None:
            yield from self.open_views(item, views)
            return
        for view in views:
            if view == View():
                yield item
            elif self.apply_view is None:
                raise InputError(item, f"{self.name} has no parts; use the whole item")
            else:
                yield self.apply_view(item, view)
