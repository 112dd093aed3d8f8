"""Texts that are longer than the model's context: cut into parts that fit, never in silence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

Truncate = Literal["average", "end", "refuse"]
"""What becomes of a long text: the mean of its parts' vectors, its first part's, or an error."""


def split_text(text: str, fits: Callable[[str], bool]) -> list[str]:
    """Cut a text into parts that fit, of similar length, between words where there are any.

    Args:
        text: not empty.
        fits: whether a text fits the context; one character always does.
    """
    if len(text) < 2 or fits(text):
        return [text]
    middle = len(text) // 2
    places = (text.rfind(" ", 1, middle + 1), text.find(" ", middle, len(text) - 1))
    spaces = [place for place in places if place > 0]
    cut = min(spaces, key=lambda place: abs(place - middle), default=middle)
    halves = (text[:cut].strip(), text[cut:].strip())
    return [part for half in halves if half for part in split_text(half, fits)]
