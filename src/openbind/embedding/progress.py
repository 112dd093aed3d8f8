"""Progress of many items on stderr: how much is done, and how far a long recording is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path, PurePath
from types import TracebackType
from typing import Any

from tqdm import tqdm

from openbind.errors import describe

LONG_SECONDS = 30.0
"""Recordings are named from here on: what is shorter is done before one could read it."""
NAME_CHARACTERS = 40
LEAST_BYTES = 100_000
"""What a file counts at least: opening it and its tower take time, however small it is."""


@dataclass(eq=False)
class ItemBar:
    """A bar over items; over files by their bytes, as a video takes longer than an icon.

    Args:
        bar: that is drawn.
        unit: what one item is called.
        total: number of items; None if it isn't known.
        by_bytes: whether the bar is over bytes, not over items.
        done: number of items that are done.
    """

    bar: tqdm
    unit: str
    total: int | None
    by_bytes: bool = False
    done: int = 0

    def count(self, item: Any) -> None:
        """Count an item that is done; the name of a recording disappears."""
        self.done += 1
        if not self.bar.disable:
            self.bar.set_postfix_str(self._counted(), refresh=False)
        self.bar.update(weigh(item) if self.by_bytes else 1)

    def show_seconds(self, name: str, seconds: float) -> None:
        """Name a long recording beside the bar, with the seconds of it that are decoded.

        Args:
            name: of the recording, a path for instance.
            seconds: decoded up to here; short ones aren't shown.
        """
        bar = self.bar
        if bar.disable or seconds < LONG_SECONDS or bar.format_dict["elapsed"] < bar.delay:
            return
        counted = f"{self._counted()}, " if self._counted() else ""
        short = describe(PurePath(name).name, NAME_CHARACTERS)
        bar.set_postfix_str(f"{counted}{short}: {seconds:,.0f} s decoded")

    def _counted(self) -> str:
        """Say how many items are done, where the bar itself shows bytes."""
        if not self.by_bytes:
            return ""
        return f"{self.done:,} of {self.total:,} {self.unit}s"

    def close(self) -> None:
        """Remove the bar."""
        self.bar.close()

    def __enter__(self) -> ItemBar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_bar(items: Iterable[Any], title: str, unit: str, *, shown: bool) -> ItemBar:
    """Return a bar that appears after a second, on a terminal only.

    Args:
        items: what is counted; how much there is is shown if they have a length, in bytes if they
            are a list and all of them files, or have one as `path` or `item`.
        title: what is done.
        unit: what one item is called.
        shown: False for none at all.
    """
    listed = items if isinstance(items, Sequence) else None
    disabled = None if shown else True
    if shown and listed and all(_file_of(item) is not None for item in listed):
        bar = tqdm(
            total=sum(map(weigh, listed)),
            desc=title,
            unit="B",
            unit_scale=True,
            delay=1,
            disable=disabled,
        )
        return ItemBar(bar, unit, len(listed), by_bytes=True)
    total = len(items) if isinstance(items, Sized) else None
    bar = tqdm(total=total, desc=title, unit=unit, delay=1, disable=disabled)
    return ItemBar(bar, unit, total)


def weigh(item: Any) -> int:
    """Return the bytes of an item's file, and at least `LEAST_BYTES`."""
    path = _file_of(item)
    try:
        return LEAST_BYTES if path is None else max(path.stat().st_size, LEAST_BYTES)
    except OSError:
        return LEAST_BYTES  # it is gone


def _file_of(item: Any) -> Path | None:
    """Return the file of a path, or of an entry of a scan; None for other items."""
    found = getattr(item, "item", None) or getattr(item, "path", None) or item
    return found if isinstance(found, Path) else None
