"""Ego4D on a look-alike in its true layout."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import openbind
from openbind.errors import InputError
from openbind.evaluation.embedder import Embedder
from openbind.evaluation.suites.ego4d import SUITE, Window, choose_split

HELD = "video10"  # its name makes it one of those that aren't trained on


def make_look_alike(data: Path) -> Path:
    """Three videos of one scenario and one of two, each with IMU at 200 Hz and five narrations."""
    scenarios = {
        "a": ["Cooking"],
        "b": ["Cooking", "Cleaning"],
        HELD: ["Walking the dog / pet"],
        "c": ["Gardening"],
    }
    videos = [{"video_uid": uid, "scenarios": found} for uid, found in scenarios.items()]
    (data / "v2" / "annotations").mkdir(parents=True)
    (data / "v2" / "imu").mkdir()
    (data / "ego4d.json").write_text(json.dumps({"videos": videos}))
    milliseconds = np.arange(0, 11_000, 5)
    motion = np.sin(milliseconds[:, None] / np.arange(50, 110, 10))
    names = "component_idx,canonical_timestamp_ms,gyro_x,gyro_y,gyro_z,accl_x,accl_y,accl_z"
    table = np.column_stack([np.zeros(len(motion)), milliseconds, motion])
    notes = [{"timestamp_sec": second} for second in (1.0, 4.0, 6.5, 6.5, 10.9)]
    for uid in scenarios:
        path = data / "v2" / "imu" / f"{uid}.csv"
        np.savetxt(path, table, "%.5g", ",", header=names, comments="")
    passes = {"narration_pass_1": {"narrations": notes}}
    narrations = dict.fromkeys(scenarios, passes)
    (data / "v2" / "annotations" / "narration.json").write_text(json.dumps(narrations))
    return data


def test_read(tmp_path: Path) -> None:
    """5 s around each narration of the videos held out; names are those of all single scenarios."""
    assert choose_split(HELD) == "val"
    (task,) = SUITE.read(make_look_alike(tmp_path))
    assert task.classes == [("Cooking",), ("Gardening",), ("Walking the dog / pet",)]
    assert task.targets == [(2,)] * 3
    assert len(set(task.recordings)) == 1
    starts = [item.start for item in task.items if isinstance(item, Window)]
    assert starts == [1.5, 4.0, 8.4]  # the narration at 1 s has no 2.5 s before it
    window = task.items[0]
    assert isinstance(window, Window)
    values_TC, rate_hz = window.read()
    assert values_TC.shape == (1000, 6)
    assert rate_hz == pytest.approx(200)
    assert values_TC[0, 0] == pytest.approx(np.sin(1500 / 80), abs=1e-4)  # accl_x comes first
    last = task.items[2]
    assert isinstance(last, Window)
    with pytest.raises(InputError, match=r"5 s from 8\.4"):
        last.read()
    assert str(last).endswith(f"{HELD}.csv from 8.40 s")


def test_embed(tmp_path: Path, tiny: openbind.Space) -> None:
    """Windows of one recording have vectors of their own; one without enough of it is excluded."""
    (task,) = SUITE.read(make_look_alike(tmp_path))
    rows = Embedder(tiny).embed(task.modality, task.items)
    assert rows.usable == [0, 1]
    assert list(rows.errors) == [str(task.items[2])]
    assert not np.allclose(rows.vectors_NE[0], rows.vectors_NE[1], atol=1e-4)


def test_broken(tmp_path: Path) -> None:
    """Malformed lists, and no held-out video."""
    data = make_look_alike(tmp_path)
    (data / "v2" / "imu" / f"{HELD}.csv").unlink()
    with pytest.raises(InputError, match="1 in 50"):
        SUITE.read(data)
    (data / "ego4d.json").write_text('{"videos": [{"uid": "a"}]}')
    with pytest.raises(InputError, match="no 'video_uid'"):
        SUITE.read(data)
    (data / "ego4d.json").write_text("videos")
    with pytest.raises(InputError, match="not a JSON file"):
        SUITE.read(data)
