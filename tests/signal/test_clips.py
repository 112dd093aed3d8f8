"""Clips equal the reference's, and cover the whole."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbind.signal.clips import (
    MOST_CLIPS,
    cover_clips,
    frame_indices,
    sample_range,
    uniform_clips,
)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (41_764, [(0, 32_000), (4_882, 36_882), (9_764, 41_764)]),
        (80_000, [(0, 32_000), (24_000, 56_000), (48_000, 80_000)]),
        (20_000, [(0, 32_000)] * 3),
    ],
)
def test_as_the_reference(samples: int, expected: list[tuple[int, int]]) -> None:
    """Sample ranges equal the reference's (spec, parity anchor 4)."""
    clips = uniform_clips(Fraction(samples, 16_000), 2, 3)
    assert [sample_range(clip, 16_000) for clip in clips] == expected


@settings(deadline=None)
@given(st.fractions(Fraction(1, 100), 500), st.fractions(Fraction(1, 10), 10))
def test_cover_covers(seconds: Fraction, clip: Fraction) -> None:
    """⌈t / clip⌉ clips from 0 to the end, without gaps; no more than a tower can take."""
    clips = cover_clips(seconds, clip)
    needed = max(1, -(-seconds // clip))
    assert len(clips) == min(needed, MOST_CLIPS)
    assert clips[0][0] == 0
    assert clips[-1][1] == max(seconds, clip)
    for (_, end), (start, _) in itertools.pairwise(clips):
        assert (start <= end) == (needed <= MOST_CLIPS)


def test_refuses() -> None:
    """No clips, and durations that aren't positive, are refused."""
    with pytest.raises(ValueError, match="can't cut 0 clips"):
        uniform_clips(5, 2, 0)
    with pytest.raises(ValueError, match="can't cut"):
        uniform_clips(5, 0, 1)


@pytest.mark.parametrize(
    ("clip", "fps", "frames", "expected"),
    [
        ((0, 2), 25.0, 250, [0, 49]),
        ((Fraction(201, 100), Fraction(401, 100)), 30.0, 300, [61, 120]),
        ((8, 10), 25.0, 240, [200, 239]),
        ((0, 2), 30.0, 1, [0, 0]),
        ((Fraction(801, 100), Fraction(1001, 100)), 0.1, 1, [0, 0]),
        ((0, 2), Fraction(30_000, 1001), 300, [0, 59]),
    ],
)
def test_frames_of_a_clip(
    clip: tuple[Fraction, Fraction], fps: float, frames: int, expected: list[int]
) -> None:
    """The first and last frame with times in [start, end), within the video (spec 3.2)."""
    assert frame_indices(clip, fps, frames) == expected


@given(
    st.fractions(0, 100),
    st.fractions(Fraction(1, 10), 10),
    st.floats(0.5, 240),
    st.integers(1, 5000),
    st.integers(1, 20),
)
def test_frames_are_there(
    start: Fraction, length: Fraction, fps: float, frames: int, count: int
) -> None:
    """The requested number of indices, ascending, all in the video."""
    found = frame_indices((start, start + length), fps, frames, count)
    assert len(found) == count
    assert found == sorted(found)
    assert found[0] >= 0
    assert found[-1] < frames


def test_frames_refuse() -> None:
    """A video without frames, a rate of zero and no indices are refused."""
    for fps, frames, count in ((25.0, 0, 2), (0.0, 9, 2), (25.0, 9, 0)):
        with pytest.raises(ValueError, match="can't take"):
            frame_indices((Fraction(0), Fraction(2)), fps, frames, count)
