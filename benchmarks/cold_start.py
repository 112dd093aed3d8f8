"""CPU seconds from a command line to its answer, beside those of importing PyTorch and LanceDB.

    python benchmarks/cold_start.py [EXPORTED]

EXPORTED is a folder of `openbind export starter EXPORTED --modality image,text,audio`. Each command
runs in a new process, three times; the least counts, user and system time of all its threads. The
index is made over samples that ship.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile

from openbind.evaluation.samples import samples_folder

RUNS = 3
OPENBIND = (sys.executable, "-m", "openbind")


def measure(*command: str) -> float:
    """Return the least CPU seconds of a command."""
    runs = []
    for _ in range(RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        runs.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return min(runs)


def main() -> None:
    """Make an index, measure, print."""
    images = sorted((samples_folder() / "images").iterdir())[:20]
    sounds = sorted((samples_folder() / "sounds").iterdir())[:10]
    with tempfile.TemporaryDirectory() as folder:
        for path in (*images, *sounds):
            shutil.copy(path, folder)
        made = (*OPENBIND, "index", "create", folder)
        subprocess.run(made, check=True, capture_output=True)
        text = (*OPENBIND, "search", "--index", folder, "--text", "a dog")
        items = ("--text", "a dog", "--image", str(images[0]), "--audio", str(sounds[0]))
        commands: list[tuple[str, tuple[str, ...]]] = [
            ("import torch", (sys.executable, "-c", "import torch")),
            ("import torch, lancedb", (sys.executable, "-c", "import torch, lancedb")),
            ("openbind --help", (*OPENBIND, "--help")),
            ("index info", (*OPENBIND, "index", "info", folder)),
            ("search --index, a text", text),
            ("search --index, by its tables", (*text, "--dtype", "float32")),
            ("compare, a text", (*OPENBIND, "compare", "--text", "a dog", "--text", "a cat")),
            ("compare, three modalities", (*OPENBIND, "compare", *items)),
        ]
        for exported in sys.argv[1:]:
            options = ("--space", exported, "--runtime", "onnx")
            commands.append(("by ONNX Runtime", (*OPENBIND, "compare", *options, *items)))
        for name, command in commands:
            print(f"{measure(*command):6.2f} s  {name}", flush=True)


if __name__ == "__main__":
    main()
