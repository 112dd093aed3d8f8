"""DESED, validation: 1,168 clips of 10 s at home, 10 kinds of events (Turpault et al. 2019)."""

from __future__ import annotations

import csv
from pathlib import Path

from openbind.errors import InputError
from openbind.evaluation.suites.suite import Suite, require
from openbind.evaluation.tasks.events import Events

TABLE = "metadata/validation/validation.tsv"
SOUNDS = "audio/validation"
COLUMNS = ["filename", "onset", "offset", "event_label"]


def read(data: Path) -> tuple[Events, ...]:
    """Read the events; those of one kind in a clip are one query, by its name.

    Raises:
        InputError: a file or a column is missing, or a time is not a number.
    """
    require("DESED", data, TABLE, SOUNDS)
    spans: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with (data / TABLE).open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, delimiter="\t")
        if reader.fieldnames != COLUMNS:
            raise InputError(data / TABLE, f"expected {COLUMNS}, found {reader.fieldnames}")
        for row in reader:
            if not row["event_label"]:
                continue  # a clip without events
            try:
                span = float(row["onset"]), float(row["offset"])
            except ValueError as error:
                raise InputError(data / TABLE, f"{row['filename']}: {error}") from error
            spans.setdefault((row["filename"], row["event_label"]), []).append(span)
    if not spans:
        raise InputError(data / TABLE, "no events")
    task = Events(
        name="text → when",
        modality="text",
        items=[label.replace("_", " ").lower() for _, label in spans],
        recordings=[data / SOUNDS / name for name, _ in spans],
        spans=list(spans.values()),
        recording_modality="audio",
    )
    return (task,)


SUITE = Suite(
    title="DESED, validation",
    layout=f"{TABLE} ({', '.join(COLUMNS)})\n{SOUNDS}/*.wav",
    origin="https://github.com/turpaultn/DESED",
    license="MIT; clips of AudioSet belong to their owners",
    read=read,
    overlaps=("AudioSet", "Freesound"),
)
