"""W&B and trackio are opened alike; a resumed run continues the same run there."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from openbind.errors import MissingExtraError
from openbind.training.log import RunLog
from openbind.training.recipe import Logging
from openbind.training.state import RunFolder
from openbind.training.trackers import open_trackers, require_loggers

NUMBERS = {"pair": "a-b", "loss": 1.5, "lr": 0.1, "rows_per_second": 10.0}


class Fake(ModuleType):
    """Stands in for a tracker: records how runs are opened, what they get and their ends."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = importlib.machinery.ModuleSpec(name, None)
        self.opened: list[dict[str, Any]] = []
        self.got: list[tuple[dict[str, float], int]] = []
        self.finished = 0

    def init(self, **settings: Any) -> Fake:
        """Record the settings."""
        self.opened.append(settings)
        return self

    def log(self, scalars: dict[str, float], step: int) -> None:
        """Record the numbers."""
        self.got.append((scalars, step))

    def finish(self) -> None:
        """Count the end."""
        self.finished += 1


@pytest.mark.parametrize(("tracker", "key"), [("wandb", "id"), ("trackio", "name")])
def test_run_is_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tracker: str, key: str
) -> None:
    """A resumed run continues the same run: its id is in the run's folder."""
    fake = Fake(tracker)
    monkeypatch.setitem(sys.modules, tracker, fake)
    logging = Logging(wandb="project") if tracker == "wandb" else Logging(trackio="project")
    require_loggers(logging)
    for name, start in (("one", 0), ("one", 4), ("other", 0)):
        folder = RunFolder(tmp_path / name)
        folder.path.mkdir(exist_ok=True)
        trackers = open_trackers(logging, "run", folder)
        with RunLog(folder, steps=9, start=start, progress=False, trackers=trackers) as log:
            log.step(start + 1, NUMBERS)
    first, resumed, other = (settings[key] for settings in fake.opened)
    assert first == resumed != other
    assert all(settings["resume"] == "allow" for settings in fake.opened)
    assert all(settings["project"] == "project" for settings in fake.opened)
    assert fake.finished == 3
    assert fake.got[0] == ({"a-b/loss": 1.5, "a-b/lr": 0.1, "a-b/rows_per_second": 10.0}, 1)


@pytest.mark.parametrize("tracker", ["wandb", "trackio"])
def test_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tracker: str) -> None:
    """A missing tracker is found before anything is done; the error names its extra."""
    monkeypatch.setitem(sys.modules, tracker, None)  # type: ignore[arg-type]
    logging = Logging(wandb="project") if tracker == "wandb" else Logging(trackio="project")
    with pytest.raises(MissingExtraError) as raised:
        require_loggers(logging)
    assert raised.value.extra == tracker
    with pytest.raises(MissingExtraError):
        open_trackers(logging, "run", RunFolder(tmp_path))
    require_loggers(Logging())


TWICE = """
import sys
from pathlib import Path
from openbind.training.log import RunLog
from openbind.training.recipe import Logging
from openbind.training.state import RunFolder
from openbind.training.trackers import open_trackers

folder, logging = RunFolder(Path(sys.argv[1])), Logging(trackio="tries")
for start in (0, 2):
    with RunLog(folder, steps=4, start=start, progress=False, name="run",
                trackers=open_trackers(logging, "run", folder)) as log:
        for step in (start + 1, start + 2):
            log.write(step, {"pair": "a-b", "loss": float(step)})

import trackio
from trackio.sqlite_storage import SQLiteStorage
(name,) = SQLiteStorage.get_runs("tries")
print(name, [(row["step"], row["a-b/loss"]) for row in SQLiteStorage.get_logs("tries", name)])
"""


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("trackio") is None, reason="trackio isn't installed")
def test_trackio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real trackio, offline: one run has the steps of both parts."""
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    command = [sys.executable, "-c", TWICE, str(folder.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    name = f"run-{folder.tracker_id.read_text()}"
    expected = f"{name} [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]"
    assert expected in done.stdout.splitlines()
