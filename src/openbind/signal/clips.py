"""Times of the clips of a long input, as exact fractions of a second."""

from __future__ import annotations

import math
from fractions import Fraction

Clip = tuple[Fraction, Fraction]
MOST_CLIPS = 512
"""Clips that cover an input at most: of a longer one they are spread with gaps between them."""


def uniform_clips(
    seconds: Fraction | float, clip_seconds: Fraction | float, count: int
) -> list[Clip]:
    """Spread a fixed number of clips evenly from the start to the end.

    start_i = i · max(seconds - clip, 0) / max(count - 1, 1), as the reference's sampler does
    (spec 3.2); all clips of an input shorter than one clip are equal.

    Args:
        seconds: duration of the input.
        clip_seconds: duration of a clip.
        count: number of clips, at least 1.

    Raises:
        ValueError: no clips, or durations that aren't positive.
    """
    total, clip = Fraction(seconds), Fraction(clip_seconds)
    if count < 1 or clip <= 0 or total < 0:
        raise ValueError(f"can't cut {count} clips of {clip_seconds} s from {seconds} s")
    step = max(total - clip, Fraction(0)) / max(count - 1, 1)
    return [(i * step, i * step + clip) for i in range(count)]


def cover_clips(seconds: Fraction | float, clip_seconds: Fraction | float) -> list[Clip]:
    """Spread ⌈seconds / clip⌉ clips evenly, to cover the whole (paper, section 3.1).

    There are at most `MOST_CLIPS`.
    """
    total, clip = Fraction(seconds), Fraction(clip_seconds)
    return uniform_clips(total, clip, min(MOST_CLIPS, max(1, math.ceil(total / clip))))


def sample_range(clip: Clip, rate_hz: int) -> tuple[int, int]:
    """Return the samples [start, end) of a clip, both rounded down (spec 3.3)."""
    return int(clip[0] * rate_hz), int(clip[1] * rate_hz)


def frame_indices(clip: Clip, fps: Fraction | float, frames: int, count: int = 2) -> list[int]:
    """Spread `count` frames evenly over those of a clip, from its first to its last (spec 3.2).

    Of the clip's t frames ⌈fps · start⌉ … min(⌈fps · end⌉, frames) - 1 it takes those at
    ⌊i · (t - 1) / (count - 1)⌋.

    Args:
        clip: times in seconds.
        fps: frame rate. The reference computes in floating point: pass a float for the same
            numbers, a fraction for exact ones.
        frames: number of frames of the video, at least 1.
        count: number of indices; they repeat in clips with fewer frames.

    Raises:
        ValueError: no frames, no indices, or a rate that isn't positive.
    """
    if frames < 1 or count < 1 or fps <= 0:
        raise ValueError(f"can't take {count} frames of {frames} at {fps} frames per second")
    # At low frame rates a clip may have no frame: take the one before.
    first = min(math.ceil(fps * clip[0]), frames - 1)
    last = max(first, min(math.ceil(fps * clip[1]), frames) - 1)
    return [first + i * (last - first) // max(count - 1, 1) for i in range(count)]
