"""Moments: found in curves, their edges refined, each span scored once in ascending order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from openbind.localisation.moments import Span, cut_spans, find_moments


class Recording:
    """Scores spans by how much of them is in some intervals; notes what is asked."""

    def __init__(self, *intervals: Span) -> None:
        self.intervals = intervals
        self.calls: list[list[Span]] = []

    def __call__(self, spans: Sequence[Span]) -> list[float]:
        self.calls.append(list(spans))
        return [self._score(*span) for span in spans]

    def _score(self, start: float, end: float) -> float:
        shared = sum(max(0.0, min(end, b) - max(start, a)) for a, b in self.intervals)
        return 0.1 + 0.5 * shared / (end - start)


def test_two_moments() -> None:
    """Both are found with their edges, in a first pass over the whole and a second at edges."""
    recording = Recording((20.0, 30.0), (50.0, 56.0))
    found, curve = find_moments(90.0, 2.0, recording)
    spans = sorted(moment[:2] for moment in found)
    assert np.asarray(spans) == pytest.approx(np.array([(20, 30), (50, 56)]), abs=0.3)
    assert all(moment[2] == pytest.approx(0.6, abs=0.01) for moment in found)
    coarse, fine = recording.calls
    assert len(coarse) == 89
    assert len(fine) < 20
    assert coarse == sorted(coarse)
    assert fine == sorted(fine)
    assert (np.diff(curve.seconds_T) > 0).all()


def test_at_the_ends() -> None:
    """Moments reach the start and the end of the recording."""
    found, _ = find_moments(10.0, 2.0, Recording((5.0, 10.0)))
    assert found[0][:2] == pytest.approx((5, 10), abs=0.3)
    found, _ = find_moments(10.0, 2.0, Recording((0.0, 5.0)))
    assert found[0][:2] == pytest.approx((0, 5), abs=0.3)


def test_even_and_short_recordings() -> None:
    """One moment: nothing is different from the rest."""
    assert find_moments(60.0, 2.0, Recording())[0] == [(0.0, 60.0, pytest.approx(0.1))]
    assert find_moments(1.0, 2.0, Recording((0.0, 1.0)))[0] == [(0.0, 1.0, pytest.approx(0.6))]


def test_long_recordings_have_bounded_curves() -> None:
    """Two hours are scored in steps; a hundred days in steps that are farther apart."""
    assert len(cut_spans(7200.0, 2.0, 1.0)) == 7199
    spans = cut_spans(100 * 86_400.0, 2.0, 1.0)
    assert len(spans) == 1 << 16
    assert spans[-1][1] == pytest.approx(100 * 86_400.0)
