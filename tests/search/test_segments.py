"""Long recordings are cut into equal segments that cover them; others stay whole."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from openbind.search.segments import MAX_SEGMENTS, WHOLE, cut


@pytest.mark.parametrize("seconds", [None, 0.0, 5.0, 15.0, float("nan"), float("inf"), 1e12])
def test_short_and_invalid_durations_stay_whole(seconds: float | None) -> None:
    """Up to 1.5 segments, and durations that no file has."""
    assert cut("audio", seconds) == WHOLE


@pytest.mark.parametrize("seconds", [15.1, 31.0, 600.0, 36_000.0])
def test_segments_cover_without_gaps(seconds: float) -> None:
    """From 0 to the end, all of the same length, at most `MAX_SEGMENTS`."""
    spans = [view.span for view in cut("audio", seconds) if view.span is not None]
    assert 2 <= len(spans) <= MAX_SEGMENTS
    assert (spans[0][0], spans[-1][1]) == (0.0, seconds)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(spans))
    lengths = [end - start for start, end in spans]
    np.testing.assert_allclose(lengths, lengths[0])


def test_text_has_no_segments() -> None:
    """Modalities without views stay whole."""
    assert cut("text", 60.0) == WHOLE
