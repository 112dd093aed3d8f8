"""The built wheel works outside the source tree: its files, its command, its service."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


def run(command: list[object], folder: Path) -> str:
    """Run a program in a folder, without the source tree on its path."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the source tree."""
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder, ROOT], folder)
    (built,) = folder.glob("openbind-*.whl")
    return built


def test_contents(wheel: Path) -> None:
    """The wheel holds every file of the package, and nothing else but its metadata."""
    package = ROOT / "src" / "openbind"
    files = {p.relative_to(package.parent).as_posix() for p in package.rglob("*") if p.is_file()}
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == {name for name in files if "__pycache__" not in name}


def test_smoke(wheel: Path, tmp_path: Path) -> None:
    """In an environment of its own the wheel embeds, compares and serves.

    Dependencies are those of this environment, seen through a path file; path files among them,
    such as that of an editable openbind, aren't read there.
    """
    environment = tmp_path / "environment"
    run([sys.executable, "-m", "venv", "--without-pip", environment], tmp_path)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python]
    run([*pip, "install", "--no-deps", "--no-index", wheel], tmp_path)
    site_packages = next(environment.glob("lib/python*/site-packages"))
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    output = run([python, ROOT / "tests" / "smoke.py"], tmp_path)
    assert output.count(": ok\n") == 4
