"""Long recordings are cut into equal segments that cover them; the rest stays whole."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest

import openbind
from openbind.search.segments import MAX_SEGMENTS, Task, cut, embed_tasks


@pytest.mark.parametrize("seconds", [None, 0.0, 5.0, 15.0, float("nan"), float("inf"), 1e12])
def test_short_and_unbelievable_stay_whole(seconds: float | None) -> None:
    """Up to one and a half segments, and what no file lasts."""
    assert cut("audio", seconds) == (None,)


@pytest.mark.parametrize("seconds", [15.1, 31.0, 600.0, 36_000.0])
def test_parts_cover_without_gaps(seconds: float) -> None:
    """From 0 to the end, each as long as the others, no more than `MAX_SEGMENTS`."""
    spans = [span for span in cut("audio", seconds) if span is not None]
    assert 2 <= len(spans) <= MAX_SEGMENTS
    assert (spans[0][0], spans[-1][1]) == (0.0, seconds)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(spans))
    lengths = [end - start for start, end in spans]
    np.testing.assert_allclose(lengths, lengths[0])


def test_words_have_no_parts() -> None:
    """What can't be shown in part stays whole."""
    assert cut("text", 60.0) == (None,)


def test_tasks(starter: openbind.Space, samples: Path, tmp_path: Path) -> None:
    """Whole files as `encode` has them, segments one by one, broken ones with a reason."""
    sound = sorted((samples / "sounds").iterdir())[0]
    shutil.copy(sound, tmp_path / "a.ogg")
    (tmp_path / "b.ogg").write_bytes(b"OggS nothing")
    tasks = [
        Task(path=tmp_path / "b.ogg", spans=(None,)),
        Task(path=tmp_path / "a.ogg", spans=(None,)),
        Task(path=tmp_path / "a.ogg", spans=((0.0, 2.0), (2.0, 4.0))),
        Task(path=tmp_path / "a.ogg", spans=((0.0, 2.0), (900.0, 901.0))),
    ]
    found, reasons = embed_tasks(starter, "audio", tasks)
    assert set(found) == {1, 2}
    assert set(reasons) == {0, 3}
    np.testing.assert_allclose(found[1][0], starter.encode("audio", sound), atol=2e-5)
    assert found[2].shape == (2, 512)
    assert not np.allclose(found[2][0], found[2][1], atol=1e-3)
