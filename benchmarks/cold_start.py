"""CPU seconds from a command line to its answer, beside those of importing PyTorch and LanceDB.

    python benchmarks/cold_start.py

Each command runs in a new process, three times; the least counts, user and system time of all its
threads. The index is made over samples that ship; the exported space is what `openbind export
starter EXPORTED --modality image,text,audio` writes.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tables import print_heads, print_row

import openbind
from openbind.evaluation.samples import samples_folder
from openbind.export.space import export_space

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
        exported = Path(folder) / "exported"
        space = openbind.load("starter", device="cpu", dtype="float32")
        export_space(space, exported, modalities=["image", "text", "audio"])
        by_onnx = ("--space", str(exported), "--runtime", "onnx")
        two_texts = (*OPENBIND, "compare", "--text", "a dog", "--text", "a cat")
        commands: list[tuple[str, str, tuple[str, ...]]] = [
            ("`import torch`", "", (sys.executable, "-c", "import torch")),
            ("`import torch, lancedb`", "", (sys.executable, "-c", "import torch, lancedb")),
            ("`openbind --help`", "", (*OPENBIND, "--help")),
            ("`openbind index info`", "", (*OPENBIND, "index", "info", folder)),
            ("`openbind search --index`, a text", "1.5 s", text),
            ("the same by the index's tables", "", (*text, "--dtype", "float32")),
            ("`openbind compare`, two texts", "", two_texts),
            ("a text, an image and a sound", "2 s", (*OPENBIND, "compare", *items)),
            ("the same, `--space EXPORTED --runtime onnx`", "2 s",
             (*OPENBIND, "compare", *by_onnx, *items)),
        ]  # fmt: skip
        print_heads("command", "CPU", "of `import torch`", "goal")
        base = 0.0
        for name, goal, command in commands:
            seconds = measure(*command)
            base = base or seconds
            print_row(name, f"{seconds:.2f} s", f"{seconds / base:.2f}", goal)


if __name__ == "__main__":
    main()
