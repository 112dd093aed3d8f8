"""Moments of a recording in which a query is: the peaks of a curve over time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

Span = tuple[float, float]
"""(start, end) in seconds."""
Moment = tuple[float, float, float]
"""(start, end, score)."""
Score = Callable[[Sequence[Span]], Iterable[float]]
"""Spans in ascending order → the cosine of each with the query."""

COARSE, FINE = 0.5, 0.125
"""Steps of the two passes, as fractions of a clip's length."""
LOW = 0.25
"""Quantile of the curve that counts as without the query."""
LEVEL = 0.5
"""Where a moment begins and ends, between `LOW` and the highest point of the curve."""
FLAT = 0.02
"""Difference of cosines that is none: such a recording is one moment."""
MOST_SPANS = 1 << 16
"""Spans of the first pass; in a longer recording they are farther apart."""


@dataclass(frozen=True)
class Curve:
    """How much a recording is like a query over time.

    Args:
        seconds_T: middles of the spans, ascending.
        scores_T: their cosines with the query.
        clip: seconds of a span.
        total: seconds of the recording.
    """

    seconds_T: np.ndarray
    scores_T: np.ndarray
    clip: float
    total: float

    @property
    def level(self) -> float:
        """What separates moments from the rest."""
        low, high = float(np.quantile(self.scores_T, LOW)), float(self.scores_T.max())
        return low + LEVEL * (high - low)

    @property
    def is_flat(self) -> bool:
        """Whether no part differs from the others."""
        return float(np.ptp(self.scores_T)) < FLAT

    def merge(self, seconds_T: np.ndarray, scores_T: np.ndarray) -> Curve:
        """Return a curve with further points."""
        seconds_T = np.concatenate([self.seconds_T, seconds_T])
        scores_T = np.concatenate([self.scores_T, scores_T])
        order = np.argsort(seconds_T, kind="stable")
        return Curve(seconds_T[order], scores_T[order], self.clip, self.total)


def cut_spans(total: float, clip: float, step: float) -> Sequence[Span]:
    """Return overlapping spans of equal length that cover a recording."""
    if total <= clip:
        return [(0.0, total)]
    count = min(int(np.ceil((total - clip) / step)) + 1, MOST_SPANS)
    starts = np.linspace(0.0, total - clip, count).tolist()
    return [(start, start + clip) for start in starts]


def find_moments(total: float, clip: float, score: Score) -> tuple[list[Moment], Curve]:
    """Find when a query is in a recording.

    The whole is scored in overlapping spans, once; then the edges of what is above the level at
    finer steps.

    Args:
        total: seconds of the recording.
        clip: seconds of a span: what the tower takes at once.
        score: scores spans.

    Returns:
        moments, best first, and the curve; a recording without differences is one moment.
    """
    curve = _measure(cut_spans(total, clip, COARSE * clip), score, clip, total)
    if curve.is_flat:
        return [(0.0, total, float(curve.scores_T.mean()))], curve
    fine = list(_around_edges(curve))
    if fine:
        added = _measure(fine, score, clip, total)
        curve = curve.merge(added.seconds_T, added.scores_T)
    found = sorted(_above(curve), key=lambda moment: -moment[2])
    return found, curve


def _measure(spans: Sequence[Span], score: Score, clip: float, total: float) -> Curve:
    middles = np.array([(start + end) / 2 for start, end in spans])
    return Curve(middles, np.fromiter(score(spans), np.float64), clip, total)


def _around_edges(curve: Curve) -> Iterator[Span]:
    """Yield spans between each two points of which one is above the level, in order."""
    above_T = curve.scores_T > curve.level
    for at in np.flatnonzero(above_T[1:] != above_T[:-1]):
        first, last = curve.seconds_T[at], curve.seconds_T[at + 1]
        count = int(np.floor((last - first) / (FINE * curve.clip) + 1e-6))
        for middle in np.linspace(first, last, count + 1)[1:-1].tolist():
            yield middle - curve.clip / 2, middle + curve.clip / 2


def _above(curve: Curve) -> Iterator[Moment]:
    """Yield what is above the level; gaps shorter than half a clip are closed."""
    seconds_T, scores_T, level = curve.seconds_T, curve.scores_T, curve.level
    above = np.flatnonzero(scores_T > level)
    breaks = np.flatnonzero(np.diff(seconds_T[above]) > max(curve.clip / 2, _step(curve)) + 1e-6)
    for run in np.split(above, breaks + 1):
        first, last = int(run[0]), int(run[-1])
        start = 0.0 if first == 0 else _crossing(curve, first - 1, first)
        end = curve.total if last == len(seconds_T) - 1 else _crossing(curve, last, last + 1)
        yield start, end, float(scores_T[first : last + 1].max())


def _step(curve: Curve) -> float:
    return float(np.diff(curve.seconds_T).max(initial=0.0))


def _crossing(curve: Curve, one: int, other: int) -> float:
    """Return when the curve crosses the level between two points."""
    a, b = float(curve.scores_T[one]), float(curve.scores_T[other])
    share = 0.5 if a == b else (curve.level - a) / (b - a)
    first, last = float(curve.seconds_T[one]), float(curve.seconds_T[other])
    return first + min(max(share, 0.0), 1.0) * (last - first)
