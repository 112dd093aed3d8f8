"""Runs Python in forks of a process that imported the heavy libraries before: `python warm.py`.

A new process takes three seconds to import PyTorch, a fork nothing. Only tests of what is imported,
or of how a process starts, need a new one.

Reads tasks from its input, one JSON object a line: {"code", "arguments", "folder", "environment",
"strict", "files"}; the files are where output, errors and the exit status are written.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HEAVY = ("torch", "numpy", "PIL.Image", "openbind.space.space", "openbind.catalog")
"""What forks find imported; nothing of it reads the environment."""
Done = subprocess.CompletedProcess[str]
PATIENCE = 900
"""Seconds that a task may take."""


@dataclass(frozen=True)
class Started:
    """A task that runs, with the files of its output, errors and exit status."""

    out: Path
    err: Path
    status: Path

    def wait(self) -> Done:
        """Wait for its end; the exit code is negative where a signal ended it."""
        _wait(self.status.exists)
        code = int(self.status.read_text())
        return subprocess.CompletedProcess("", code, self.out.read_text(), self.err.read_text())

    def wait_for(self, line: str) -> None:
        """Wait until it has printed a line.

        Raises:
            RuntimeError: it ended before.
        """
        _wait(lambda: line in self.out.read_text() or self.status.exists())
        if line not in self.out.read_text():
            raise RuntimeError(self.err.read_text())


class Warm:
    """Starts tasks. Made by the fixture `warm`."""

    def __init__(self, program: subprocess.Popen[str], folder: Path) -> None:
        self._program, self._folder, self._count = program, folder, 0

    def start(
        self,
        code: str,
        *arguments: object,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        strict: bool = False,
    ) -> Started:
        """Start Python as `python -c CODE ARGUMENTS` does; `strict` is `-W error`.

        Args:
            code: of the program.
            arguments: `sys.argv[1:]`.
            folder: working directory; None is that of the caller.
            environment: variables; None takes the caller's.
            strict: raise warnings.
        """
        self._count += 1
        base = self._folder / str(self._count)
        started = Started(*(base.with_suffix(end) for end in (".out", ".err", ".status")))
        started.out.touch()
        started.err.touch()
        task = {
            "code": code,
            "arguments": [str(each) for each in arguments],
            "folder": str(folder or Path.cwd()),
            "environment": dict(os.environ if environment is None else environment),
            "strict": strict,
            "files": [str(started.out), str(started.err), str(started.status)],
        }
        assert self._program.stdin is not None
        self._program.stdin.write(json.dumps(task) + "\n")
        self._program.stdin.flush()
        return started

    def run(
        self, code: str, *arguments: object, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a task to its end; see `start`."""
        return self.start(code, *arguments, **options).wait()


@contextmanager
def warmed() -> Iterator[Warm]:
    """Start the process that forks."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__]
        program = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
        try:
            yield Warm(program, Path(folder))
        finally:
            assert program.stdin is not None
            program.stdin.close()
            program.wait()


def run_ranks(warm: Warm, verb: list[str]) -> None:
    """Run a verb of openbind in two processes, with the variables that torchrun sets."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    shared = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    code = "import sys; from openbind.cli.main import main; sys.exit(main(sys.argv[1:]))"
    ranks = [
        warm.start(code, *verb, environment={**shared, "RANK": rank, "LOCAL_RANK": rank})
        for rank in "01"
    ]
    for done in [rank.wait() for rank in ranks]:
        assert done.returncode == 0, done.stderr


def _wait(condition: Any) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"no end after {PATIENCE} s")
        time.sleep(0.02)


def main() -> None:
    """Start the tasks of the standard input; each is in a fork of its own."""
    for name in HEAVY:
        __import__(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        if not os.fork():
            task = json.loads(line)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            child = os.fork()
            if not child:
                _become(task)
                return
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            status = Path(task["files"][2])
            status.with_suffix(".partial").write_text(str(code))
            status.with_suffix(".partial").rename(status)
            os._exit(0)


def _become(task: dict[str, Any]) -> None:
    """Be the process of a task; an error of its ends this one as it would end any."""
    for target, path in enumerate(("/dev/null", *task["files"][:2])):
        os.dup2(os.open(path, os.O_RDWR), target)
    os.chdir(task["folder"])
    os.environ.clear()
    os.environ.update(task["environment"])
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.path[0], sys.argv = "", ["-c", *task["arguments"]]
    warnings.resetwarnings()
    warnings.simplefilter("error" if task["strict"] else "default")
    program = types.ModuleType("__main__")
    sys.modules["__main__"] = program
    exec(compile(task["code"], "<string>", "exec"), program.__dict__)


if __name__ == "__main__":
    main()
