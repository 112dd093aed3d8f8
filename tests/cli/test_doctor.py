"""`openbind doctor`: facts about this installation."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import torch

import openbind
from openbind.cli import doctor

Run = Callable[..., tuple[int, str, str]]


def test_doctor(run: Run) -> None:
    """Versions, devices, extras, formats and speeds are those of this machine."""
    code, out, _ = run("doctor", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["openbind"] == openbind.__version__
    assert found["libraries"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert found["devices"][0]["threads"] == torch.get_num_threads()
    assert ".jpg" in found["formats"]["image"]["read"]
    speeds = found["items_per_second"]
    assert set(speeds) == set(openbind.load("starter").modalities)
    assert all(speed is None or speed > 0 for speed in speeds.values())


def test_lines(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing comes with the command that installs it."""
    monkeypatch.setattr(doctor, "measure_speeds", lambda space, arguments: {"text": 3.0})
    lines = ["av>=14; extra == 'video'", "no-such-thing; extra == 'odd'", "numpy>=1"]
    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda name: lines)
    code, out, _ = run("doctor")
    assert code == 0
    assert "video: installed" in out
    assert "pip install 'openbind[odd]'" in out
    assert "text: 3.0 items a second" in out


def test_formats_without_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Extensions that need a missing package are named."""
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    formats = doctor.list_formats()
    assert formats["image"]["not_read"] == [".heic", ".heif", ".hif", ".jxl"]
    assert formats["video"]["read"] == []
    assert ".m4a" in formats["audio"]["not_read"]
    assert ".wav" in formats["audio"]["read"]


def test_extras() -> None:
    """Packages by extra; core ones, and extras of extras, don't count."""
    found = doctor.split_extras(
        ["numpy>=1", 'pyyaml>=6; extra == "train"', "x-y; extra == 'all'", "no-such; extra == 'o'"]
    )
    assert found == {
        "train": {"installed": ["pyyaml"], "missing": []},
        "o": {"installed": [], "missing": ["no-such"]},
    }
