"""The log has a line for each logged step, survives a crash, and TensorBoard gets the same."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event

from openbind.errors import MissingExtraError
from openbind.training.log import RunLog, cut_log, read_log
from openbind.training.state import RunFolder

NUMBERS = {"pair": "a-b", "loss": 1.5, "lr": 0.1, "rows_per_second": 10.0}


def write_steps(folder: RunFolder, start: int, stop: int) -> None:
    folder.path.mkdir(exist_ok=True)
    with RunLog(folder, steps=9, start=start, progress=False) as log:
        for step in range(start + 1, stop + 1):
            log.step(step, {**NUMBERS, "loss": float(step)} if step % 2 == 0 else None)
        log.write(stop, {"validation": {"a-b": {"b→a R@1": 0.5}}})


def read_events(folder: RunFolder) -> dict[tuple[str, int], float]:
    """Parse TensorBoard's records: length, its checksum, data, its checksum."""
    found = {}
    for path in sorted(folder.events.iterdir()):
        data, place = path.read_bytes(), 0
        while place < len(data):
            (length,) = struct.unpack_from("<Q", data, place)
            event = Event.FromString(data[place + 12 : place + 12 + length])
            place += length + 16
            for value in event.summary.value:
                found[value.tag, event.step] = value.simple_value
    return found


def test_lines(tmp_path: Path) -> None:
    """Lines and events tell the same numbers."""
    folder = RunFolder(tmp_path)
    write_steps(folder, 0, 4)
    lines = list(read_log(folder.log))
    assert [(line["step"], line.get("loss")) for line in lines] == [(2, 2.0), (4, 4.0), (4, None)]
    events = read_events(folder)
    assert events["a-b/loss", 2] == 2.0
    assert events["validation/a-b/b-to-a-R1", 4] == 0.5


def test_resume(tmp_path: Path) -> None:
    """Going on from a step takes away what was logged after it, a torn last line too."""
    folder = RunFolder(tmp_path)
    write_steps(folder, 0, 6)
    with folder.log.open("a") as file:
        file.write('{"step": 7, "lo')
    write_steps(folder, 4, 6)
    assert [line["step"] for line in read_log(folder.log)] == [2, 4, 6, 6]
    cut_log(folder.log, 2)
    assert [line["step"] for line in read_log(folder.log)] == [2]


def test_wandb_missing(tmp_path: Path) -> None:
    """Asking for W&B without it says how to get it."""
    with pytest.raises(MissingExtraError, match="wandb"):
        RunLog(RunFolder(tmp_path), steps=1, start=0, progress=False, wandb="project")
