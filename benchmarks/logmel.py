"""Measure log-mel clips per second: our batched filter bank against one clip per call.

    python benchmarks/logmel.py

The baseline is torchaudio's `compliance.kaldi.fbank` where torchaudio is installed (it isn't a
dependency), else the same computation as torchaudio's: one clip per call, with window and mel
filters built in each. Both are timed alternately; the best of five rounds counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from openbind.signal.fbank import _kaldi_filters, kaldi_fbank
from openbind.signal.front_ends import KaldiFbank

CLIPS, SAMPLES, ROUNDS = 64, 32_000, 5
CONFIG = KaldiFbank()


def torchaudio_clip(clip_T: torch.Tensor) -> torch.Tensor:
    import torchaudio  # type: ignore[import-not-found]

    fbank: torch.Tensor = torchaudio.compliance.kaldi.fbank(
        clip_T[None], htk_compat=True, sample_frequency=16_000, use_energy=False,
        window_type="hanning", num_mel_bins=128, dither=0.0, frame_length=25, frame_shift=10,
    )  # fmt: skip
    return fbank


def one_clip(clip_T: torch.Tensor) -> torch.Tensor:
    _kaldi_filters.cache_clear()
    return kaldi_fbank(clip_T[None], CONFIG)


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    try:
        import torchaudio  # noqa: F401

        name, baseline = "torchaudio, one clip per call", torchaudio_clip
    except ImportError:
        name, baseline = "one clip per call, filters rebuilt", one_clip
    clips_BT = torch.rand(CLIPS, SAMPLES) - 0.5
    kaldi_fbank(clips_BT, CONFIG)
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(seconds(lambda: kaldi_fbank(clips_BT, CONFIG)))
        theirs.append(seconds(lambda: [baseline(clip_T) for clip_T in clips_BT]))
    print(f"{torch.get_num_threads()} threads, clips of 2 s")
    print(f"{'ours, batched':40}{CLIPS / min(ours):10.0f} clips/s")
    print(f"{name:40}{CLIPS / min(theirs):10.0f} clips/s")
    print(f"{'ratio':40}{min(theirs) / min(ours):10.1f}")


if __name__ == "__main__":
    main()
