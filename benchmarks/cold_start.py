"""CPU seconds from a command line to its answer, beside those of importing PyTorch and LanceDB.

    python benchmarks/cold_start.py [--runs 5] [--before TREE]

Each command runs in a new process, all in turn, once to write bytecode and then five times; the
median counts, of the user and system time of all threads. With --before, commands run with the code
of an older tree, too (a worktree of a commit), each right after that of this one. The index is
made over samples that ship; the exported space is what `openbind export starter EXPORTED --modality
image,text,audio` writes.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tables import print_heads, print_row

import openbind
from openbind.evaluation.samples import samples_folder
from openbind.export.space import export_space

OPENBIND = (sys.executable, "-m", "openbind")
SOURCE = Path(openbind.__file__).parents[1]
# Starts of the interpreter that don't compile, as after an installation.
BYTECODE, NO_BYTECODE = "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE"


def measure(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Return the CPU seconds of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def take_turns(
    commands: Sequence[Sequence[str]], trees: Sequence[Path], runs: int, bytecode: Path
) -> list[list[float]]:
    """Return the median CPU seconds of each command by each tree's code."""
    kept = {name: value for name, value in os.environ.items() if name != NO_BYTECODE}
    taken: list[list[list[float]]] = [[[] for _ in trees] for _ in commands]
    for _ in range(runs + 1):
        for command, by_tree in zip(commands, taken, strict=True):
            for tree, times in zip(trees, by_tree, strict=True):
                own = {**kept, "PYTHONPATH": str(tree), BYTECODE: str(bytecode)}
                times.append(measure(command, own))
    return [[statistics.median(times[1:]) for times in by_tree] for by_tree in taken]


def main() -> None:
    """Make an index, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--before", type=Path, metavar="TREE", help="worktree of an older commit")
    arguments = parser.parse_args()
    trees = [SOURCE, *([arguments.before / "src"] if arguments.before else [])]
    images = sorted((samples_folder() / "images").iterdir())[:20]
    sounds = sorted((samples_folder() / "sounds").iterdir())[:10]
    with tempfile.TemporaryDirectory() as made:
        folder, exported, bytecode = (Path(made) / name for name in ("media", "space", "bytecode"))
        folder.mkdir()
        for path in (*images, *sounds):
            shutil.copy(path, folder)
        create = (*OPENBIND, "index", "create", str(folder))
        subprocess.run(create, check=True, capture_output=True)
        text = (*OPENBIND, "search", "--index", str(folder), "--text", "a dog")
        items = ("--text", "a dog", "--image", str(images[0]), "--audio", str(sounds[0]))
        space = openbind.load("starter", device="cpu", dtype="float32")
        export_space(space, exported, modalities=["image", "text", "audio"])
        by_onnx = ("--space", str(exported), "--runtime", "onnx")
        two_texts = (*OPENBIND, "compare", "--text", "a dog", "--text", "a cat")
        commands: list[tuple[str, str, tuple[str, ...]]] = [
            ("`import torch`", "", (sys.executable, "-c", "import torch")),
            ("`import torch, lancedb`", "", (sys.executable, "-c", "import torch, lancedb")),
            ("`openbind --help`", "", (*OPENBIND, "--help")),
            ("`openbind index info`", "", (*OPENBIND, "index", "info", str(folder))),
            ("`openbind search --index`, a text", "1.5 s", text),
            ("the same by the index's tables", "", (*text, "--dtype", "float32")),
            ("`openbind compare`, two texts", "", two_texts),
            ("a text, an image and a sound", "2 s", (*OPENBIND, "compare", *items)),
            ("the same, `--space EXPORTED --runtime onnx`", "2 s",
             (*OPENBIND, "compare", *by_onnx, *items)),
        ]  # fmt: skip
        found = take_turns([command for *_, command in commands], trees, arguments.runs, bytecode)
        olds = ["before"] if arguments.before else []
        print_heads("command", *olds, "CPU", "of `import torch`", "goal")
        for (name, goal, _), (seconds, *old) in zip(commands, found, strict=True):
            share = f"{seconds / found[0][0]:.2f}"
            print_row(name, *(f"{each:.2f} s" for each in old), f"{seconds:.2f} s", share, goal)


if __name__ == "__main__":
    main()
