"""A warm process is as a new one: what it prints, how it ends, where it runs."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.warm import Warm


def test_as_a_new_process(warm: Warm, tmp_path: Path) -> None:
    """Each has its own folder, variables, arguments, warnings and names."""
    code = "import os, sys; left = 1; print(os.getcwd(), sys.argv[1], os.environ['SEEN'])"
    done = warm.run(code, "word", folder=tmp_path, environment={**os.environ, "SEEN": "yes"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{tmp_path} word yes")
    assert warm.run("left").returncode == 1
    assert "NameError" in warm.run("left").stderr
    warns = "import warnings; warnings.warn('careful')"
    assert warm.run(warns).returncode == 0
    assert "careful" in warm.run(warns, strict=True).stderr
    assert warm.run("import sys; sys.exit(3)").returncode == 3


def test_several_at_once(warm: Warm) -> None:
    """One waits to be killed while others run."""
    slow = warm.start("import os, time; print(os.getpid(), flush=True); time.sleep(60)")
    slow.wait_for("\n")
    assert warm.run("print('beside')").stdout == "beside\n"
    os.kill(int(slow.out.read_text()), signal.SIGKILL)
    assert slow.wait().returncode == -signal.SIGKILL
