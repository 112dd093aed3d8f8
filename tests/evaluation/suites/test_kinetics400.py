"""Kinetics-400 on a look-alike in its true layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from openbind.errors import InputError
from openbind.evaluation.suites.kinetics400 import SUITE
from openbind.evaluation.tasks.task import Task


def write_video(path: Path) -> None:
    """A second of noise."""
    frames = np.random.default_rng(0).integers(0, 255, (5, 48, 64, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())


@pytest.mark.slow
def test_read(tmp_path: Path, embed: Callable[[Task], np.ndarray]) -> None:
    """Videos of two actions, named as the data set's own scripts name them."""
    (tmp_path / "annotations").mkdir()
    (tmp_path / "val").mkdir()
    lines = ["label,youtube_id,time_start,time_end,split"]
    lines += ["javelin throw,--07WQ2iBlw,1,11,validate", "air drumming,--33Lscn6sk,4,14,validate"]
    table = tmp_path / "annotations" / "val.csv"
    table.write_text("\n".join(lines) + "\n")
    for name in ("--07WQ2iBlw_000001_000011", "--33Lscn6sk_000004_000014"):
        write_video(tmp_path / "val" / f"{name}.mp4")
    (task,) = SUITE.read(tmp_path)
    assert task.classes == [("air drumming",), ("javelin throw",)]
    assert task.targets == [(1,), (0,)]
    assert len(embed(task)) == 2
    table.write_text(table.read_text().replace(",4,", ",four,"))
    with pytest.raises(InputError, match="time_start: found 'four'"):
        SUITE.read(tmp_path)
