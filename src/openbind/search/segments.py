"""Long recordings, cut into segments of which each has a row: where in a video something is."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from openbind.errors import InputError
from openbind.modalities import MODALITIES
from openbind.modalities.spec import View
from openbind.space.space import Space

SEGMENT_SECONDS = 10.0
"""A segment's length; what is shorter than one and a half of them stays whole."""
MAX_SEGMENTS = 64
"""Parts of one recording at most: those of a longer one are longer."""
SEGMENTS_AT_ONCE = 16
"""Parts of one recording that are in memory together."""
LONGEST_SECONDS = 30 * 86_400.0
"""A header that says more is broken."""

Span = tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class Task:
    """A file to embed.

    Args:
        path: of the file.
        spans: start and end of each segment in seconds; (None,) takes the file whole.
    """

    path: Path
    spans: tuple[Span, ...]


def cut(modality: str, duration: float | None) -> tuple[Span, ...]:
    """Cut a recording into equal segments.

    Args:
        modality: one whose files have segments, or not.
        duration: in seconds, as the file's header says; None if it doesn't.

    Returns:
        start and end of each in seconds, or (None,) for what is embedded as a whole.
    """
    if duration is None or not 1.5 * SEGMENT_SECONDS < duration < LONGEST_SECONDS:
        return (None,)
    if MODALITIES.get(modality).apply_view is None:
        return (None,)
    count = min(MAX_SEGMENTS, math.ceil(duration / SEGMENT_SECONDS))
    edges = [duration * place / count for place in range(count + 1)]
    return tuple(itertools.pairwise(edges))


def embed_tasks(
    space: Space, modality: str, tasks: Sequence[Task]
) -> tuple[dict[int, np.ndarray], dict[int, str]]:
    """Embed files of one modality, one vector per segment: the mean over its clips.

    Args:
        space: embeds.
        modality: what all files are read as.
        tasks: the files.

    Returns:
        index → (segments, dim) float32 of usable files; index → reason of the others.
    """
    found: dict[int, np.ndarray] = {}
    failures: dict[int, str] = {}
    whole = [place for place, task in enumerate(tasks) if task.spans == (None,)]

    def note(at: int, error: InputError) -> None:
        failures[whole[at]] = error.reason

    rows_NE = space.encode(modality, [tasks[place].path for place in whole], on_error=note)
    for place, row_E in zip(whole, rows_NE, strict=True):
        if place not in failures:
            found[place] = row_E[None]
    for place, task in enumerate(tasks):
        if task.spans != (None,):
            try:
                found[place] = _embed_segments(space, modality, task)
            except InputError as error:
                failures[place] = error.reason
    return found, failures


def _embed_segments(space: Space, modality: str, task: Task) -> np.ndarray:
    apply_view = MODALITIES.get(modality).apply_view
    rows = []
    for start in range(0, len(task.spans), SEGMENTS_AT_ONCE):
        views = [View(span=span) for span in task.spans[start : start + SEGMENTS_AT_ONCE]]
        rows.append(space.encode(modality, [apply_view(task.path, view) for view in views]))
    return np.concatenate(rows)
