"""Progress of many items on stderr: how many are done, and how far a long recording is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import Any

from tqdm import tqdm

from openbind.errors import describe

LONG_SECONDS = 30.0
"""Recordings are named from here on: what is shorter is done before one could read it."""
NAME_CHARACTERS = 40


def open_bar(items: Iterable[Any], title: str, unit: str, *, shown: bool) -> tqdm:
    """Return a bar that appears after a second, on a terminal only.

    Args:
        items: what is counted; how many there are is shown if they are in a list.
        title: what is done.
        unit: what one item is called.
        shown: False for none at all.
    """
    total = len(items) if isinstance(items, Sequence) else None
    disabled = None if shown else True
    return tqdm(total=total, desc=title, unit=unit, delay=1, disable=disabled)


def show_seconds(bar: tqdm, name: str, seconds: float) -> None:
    """Name a long recording beside the bar, with the seconds of it that are decoded.

    Args:
        bar: from `open_bar`.
        name: of the recording, a path for instance.
        seconds: decoded up to here; short ones aren't shown.
    """
    if bar.disable or seconds < LONG_SECONDS or bar.format_dict["elapsed"] < bar.delay:
        return
    short = describe(PurePath(name).name, NAME_CHARACTERS)
    bar.set_postfix_str(f"{short}: {seconds:,.0f} s decoded")


def count_item(bar: tqdm) -> None:
    """Count an item that is done; its name disappears."""
    if not bar.disable:
        bar.set_postfix_str("", refresh=False)
    bar.update()
