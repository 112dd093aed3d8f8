"""Loads files in processes of their own, with limits of time and memory: `python sandbox.py`.

Reads tasks from its input, one JSON object a line: {"loader", "paths", "megabytes", "seconds"}.
Each task runs in a fork, so that libraries are imported once; where one ends too early, another
takes the rest. Writes one line for each path: {"path", "outcome", "detail", "seconds",
"megabytes"}. The outcome is "read", "refused" (an error of openbind), "other" (any other error),
"crash" or "hang".
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

Result = dict[str, Any]


def run(tasks: Iterable[dict[str, Any]]) -> list[Result]:
    """Run tasks in a sandbox, and return their results in order."""
    found = subprocess.run(
        [sys.executable, __file__],
        input="".join(json.dumps(task) + "\n" for task in tasks),
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in found.stdout.splitlines()]


def _status(name: str) -> float:
    """Return a size of this process in megabytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(name)


def _modality(name: str) -> Callable[[str], Any]:
    from openbind.modalities import MODALITIES
    from openbind.modalities.thumbnails import render_thumbnail

    spec = MODALITIES.get(name)
    settings = spec.settings(units="by_type") if name == "depth" else spec.settings()
    preprocess = spec.prepare(settings, None)

    def load(path: str) -> None:
        # Arrays have no times.
        item = (path, 50.0) if name == "imu" and path.endswith(".npz") else path
        preprocess(item)
        render_thumbnail(name, item)

    return load


def _space(path: str) -> None:
    import openbind

    space = openbind.load(path)
    space.encode("thermal", [_map()])


def _map() -> Any:
    import numpy as np

    return np.arange(256, dtype=np.uint8).reshape(16, 16)


def _recipe(path: str) -> None:
    from openbind.training.recipe_file import read_recipe

    read_recipe(path)


def _pairs(path: str) -> None:
    from openbind.data.sources.manifest import Manifest
    from openbind.data.sources.shards import Shards

    pair = ("image", "audio") if b"audio" in Path(path).read_bytes() else ("image", "text")
    file = Path(path)
    name = file.name
    source = Shards(shards=name) if file.suffix == ".tar" else Manifest(manifest=name)
    source.read(pair, file.parent)


LOADERS = {"space": _space, "recipe": _recipe, "pairs": _pairs}


def _load(load: Callable[[str], Any], path: str) -> tuple[str, str]:
    from openbind.errors import OpenbindError

    try:
        load(path)
    except OpenbindError as error:
        return "refused", f"{type(error).__name__}: {error}"
    except BaseException as error:
        return "other", f"{type(error).__name__}: {error}"
    return "read", ""


def _limit(megabytes: float) -> None:
    address_space = int((_status("VmSize") + megabytes) * (1 << 20))
    resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))


def _work(task: dict[str, Any], paths: list[str], load: Callable[[str], Any], out: int) -> None:
    """Load files one after the other; the alarm ends the process, wherever it is."""
    # Address space, of which threads and libraries reserve more than they use.
    _limit(2 * task["megabytes"] + 512)
    for path in paths:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
        before, cpu = _status("VmRSS"), time.process_time()
        # Wall time is others' too; twelve times the processor's own is a hang.
        signal.alarm(12 * task["seconds"])
        outcome, detail = _load(load, path)
        signal.alarm(0)
        result = {
            "path": path,
            "outcome": outcome,
            "detail": detail[:300],
            "seconds": round(time.process_time() - cpu, 2),
            "megabytes": round(_status("VmHWM") - before),
        }
        os.write(out, json.dumps(result).encode() + b"\n")


def _answers(task: dict[str, Any], load: Callable[[str], Any]) -> Iterator[bytes]:
    paths = list(task["paths"])
    while paths:
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            try:
                _work(task, paths, load, writer)
            finally:
                os._exit(0)
        os.close(writer)
        with open(reader, "rb") as pipe:
            lines = pipe.read().split(b"\n")
        status = os.waitpid(child, 0)[1]
        yield from lines[:-1]
        paths = paths[len(lines) - 1 :]
        if paths:
            is_hang = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM
            result = {
                "path": paths.pop(0),
                "outcome": "hang" if is_hang else "crash",
                "detail": f"status {status}",
                "seconds": float("inf") if is_hang else 0.0,
                "megabytes": 0,
            }
            yield json.dumps(result).encode()


def main() -> None:
    """Run the tasks of the standard input."""
    import torch

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for line in sys.stdin:
        task = json.loads(line)
        load = LOADERS.get(task["loader"]) or _modality(task["loader"])
        for answer in _answers(task, load):
            print(answer.decode(), flush=True)


if __name__ == "__main__":
    main()
