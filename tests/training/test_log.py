"""The log has a line for each logged step, also after a crash; TensorBoard gets the same."""

from __future__ import annotations

import json
import struct
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event

from openbind.data.loader import SkippedItem
from openbind.training.log import RunLog, SkippedLog, cut_log, read_log
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
    """Lines and events have the same numbers."""
    folder = RunFolder(tmp_path)
    write_steps(folder, 0, 4)
    lines = list(read_log(folder.log))
    assert [(line["step"], line.get("loss")) for line in lines] == [(2, 2.0), (4, 4.0), (4, None)]
    events = read_events(folder)
    assert events["a-b/loss", 2] == 2.0
    assert events["validation/a-b/b-to-a-R1", 4] == 0.5


def test_resume(tmp_path: Path) -> None:
    """Resuming from a step deletes the lines after it, and an incomplete last one."""
    folder = RunFolder(tmp_path)
    write_steps(folder, 0, 6)
    with folder.log.open("a") as file:
        file.write('{"step": 7, "lo')
    write_steps(folder, 4, 6)
    assert [line["step"] for line in read_log(folder.log)] == [2, 4, 6, 6]
    cut_log(folder.log, 2)
    assert [line["step"] for line in read_log(folder.log)] == [2]


def test_skipped(tmp_path: Path) -> None:
    """Each skipped item is written once, by a resumed run too, without reading the file again."""
    path = tmp_path / "skipped.jsonl"
    log, items = SkippedLog(path), [SkippedItem("a-b", str(i), "no image") for i in range(3)]
    log.write([])
    assert not path.exists()
    log.write([items[0], items[1], items[0]])
    written = path.read_bytes()
    path.unlink()  # a log that read the file again would write the items again
    log.write([items[1], items[2]])
    assert [json.loads(line)["item"] for line in path.read_text().splitlines()] == ["2"]
    path.write_bytes(written + path.read_bytes())
    SkippedLog(path).write(items)
    assert [json.loads(line)["item"] for line in path.read_text().splitlines()] == ["0", "1", "2"]
