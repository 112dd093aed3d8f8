"""Ctrl-C and a full disk: one line, an exit code, and nothing half-written."""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def start(folder: Path, verb: list[str], **options: object) -> subprocess.Popen[str]:
    """Start a verb over a folder."""
    command = [sys.executable, "-m", "openbind", *verb, "--no-cache", str(folder)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize(
    ("verb", "name"), [(["embed"], "out.npz"), (["classify", "--labels", "dog,cat"], "out.csv")]
)
def test_interrupted(samples: Path, tmp_path: Path, verb: list[str], name: str) -> None:
    """While items are embedded, or before."""
    folder, target = tmp_path / "files", tmp_path / "out" / name
    folder.mkdir()
    target.parent.mkdir()
    for number in range(60):
        for path in sorted((samples / "images").iterdir())[:4]:
            shutil.copy(path, folder / f"{number}{path.name}")
    process = start(folder, [*verb, "-o", str(target)])
    time.sleep(2.5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    # Python ends itself by the signal if code run by C was interrupted; shells show 130 for both.
    assert process.returncode in (130, -signal.SIGINT)
    assert errors.splitlines()[-1] == "interrupted"
    assert not list(target.parent.iterdir())


def test_full_disk(samples: Path, tmp_path: Path) -> None:
    """As far as a limit of the size of files is one."""
    folder, target = tmp_path / "files", tmp_path / "out" / "out.npz"
    folder.mkdir()
    target.parent.mkdir()
    shutil.copy(samples / "images" / "000-dog.webp", folder)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    process = start(folder, ["embed", "-o", str(target)], preexec_fn=limit)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "too large" in errors.splitlines()[-1]
    assert not list(target.parent.iterdir())
