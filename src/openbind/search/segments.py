"""Segments of long recordings, each with a row of its own, so that a hit says where it is."""

from __future__ import annotations

import itertools
import math

from openbind.modalities import MODALITIES
from openbind.modalities.spec import View

SEGMENT_SECONDS = 10.0
"""Longest segment; recordings shorter than 1.5 segments are not cut."""
MAX_SEGMENTS = 64
"""Segments per recording at most; those of longer recordings are longer."""
LONGEST_SECONDS = 30 * 86_400.0
"""A longer duration in a header is an error."""
WHOLE = (View(),)


def cut(modality: str, duration: float | None) -> tuple[View, ...]:
    """Cut a recording into equal segments.

    Args:
        modality: of the file.
        duration: in seconds, from the file's header; None if unknown.

    Returns:
        a view with `span` for each segment, or one view of the whole file if the recording is
        short or the modality can't be viewed in parts.
    """
    if duration is None or not 1.5 * SEGMENT_SECONDS < duration < LONGEST_SECONDS:
        return WHOLE
    if MODALITIES.get(modality).apply_view is None:
        return WHOLE
    count = min(MAX_SEGMENTS, math.ceil(duration / SEGMENT_SECONDS))
    edges = [duration * number / count for number in range(count + 1)]
    return tuple(View(span=span) for span in itertools.pairwise(edges))
