"""Kill an update at twenty random moments, fill its disk: no row lost, none duplicated.

Method: an index over a copy of the sample collection is updated by a process that is killed
(SIGKILL) after a random time; the index is verified, files are moved, changed, deleted, added and
exchanged, and the next update is killed. At the end it is verified, and its vectors are compared
with those of an index built in one run. With --tiny a disk of 3 MB (needs root, Linux) is filled
first.

    python benchmarks/index_kills.py [--kills 20] [--seed 0] [--tiny]
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from tables import print_heads, print_row

import openbind
from openbind.errors import InputError
from openbind.evaluation.samples import samples_folder
from openbind.search.index import Index
from openbind.search.update import update
from openbind.search.verify import verify
from openbind.space.space import Space

LONGEST_SECONDS = 2.5
"""About the duration of an update after `change`."""
SAME = 1e-4
"""Vectors of one file in different batches differ by float32 rounding."""
CHILD = """
import sys, openbind
from openbind.search.index import Index
from openbind.search import update as updating
updating.COMMIT_FILES = 8
space = openbind.load("starter", device="cpu")
print("ready")
updating.update(Index.open(sys.argv[1]), space)
"""


def kill_update(folder: Path, seconds: float) -> bool:
    """Start an update and kill it after some seconds; returns whether it was still running."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder)], stdout=subprocess.PIPE, text=True
    )
    if child.stdout is None or child.stdout.readline() != "ready\n":
        raise RuntimeError("the child didn't start")
    time.sleep(seconds)
    alive = child.poll() is None
    child.kill()
    child.communicate()
    return alive


def note(line: str) -> None:
    """Print progress, beside the table."""
    print(line, file=sys.stderr, flush=True)


def change(media: Path, draw: random.Random) -> None:
    """Move, change, delete, copy and exchange files."""
    files = sorted(p for p in media.rglob("*") if p.suffix in (".webp", ".ogg"))
    files = [path for path in files if ".openbind" not in path.parts]
    for number, path in enumerate(draw.sample(files, 80)):
        name = path.with_name(f"{draw.randrange(1 << 40):x}{path.suffix}")
        padded = path.read_bytes() + b"\0" * draw.randint(1, 9)
        if number < 10:
            path.rename(name)
        elif number < 60:
            path.write_bytes(padded)
        elif number < 65:
            path.unlink()
        elif number < 70:
            path.rename(name)  # and other content takes its name
            path.write_bytes(padded)
        else:
            name.write_bytes(draw.choice([padded, path.read_bytes()]))


def vectors_by_path(index: Index) -> dict[str, np.ndarray]:
    """Return all vectors by path and segment."""
    rows, vectors_KE = index.table.read("true")
    return {f"{r.path}#{r.segment}": v for r, v in zip(rows, vectors_KE, strict=True)}


def compare(index: Index, media: Path, space: Space, folder: Path) -> float:
    """Return the largest difference to an index built in one run; infinite if rows differ."""
    fresh = Index.create(folder, space, [media])
    update(fresh, space)
    found, expected = vectors_by_path(index), vectors_by_path(fresh)
    if found.keys() != expected.keys():
        return float("inf")
    return max(float(np.abs(found[key] - expected[key]).max()) for key in found)


def kill_often(kills: int, seed: int, folder: Path) -> int:
    """Change, kill, verify; returns the number of errors.

    Only kills of a running update are counted. After every third the index is updated and has to
    be clean; otherwise the next update continues from what the kill left.
    """
    draw, space, media = random.Random(seed), openbind.load("starter", device="cpu"), folder / "m"
    shutil.copytree(samples_folder(), media)
    index = Index.create(media / ".openbind", space, [media])
    errors = hits = tries = 0
    while hits < kills:
        tries += 1
        hit = kill_update(media / ".openbind", draw.uniform(0, LONGEST_SECONDS))
        hits += hit
        report = verify(index)
        errors += not report.sound
        waiting = len(report.lost) + len(report.stale) + len(report.gone)
        state = f"{report.files:3} files, {waiting:3} to do, sound: {report.sound}"
        note(f"try {tries:2}, {'killed' if hit else 'had ended'}: {state}")
        if tries % 3 == 0:
            update(index, space)
            clean = verify(index).clean
            errors += not clean
            note(f"        updated, clean: {clean}")
        change(media, draw)
    update(index, space)
    report = verify(index)
    errors += not report.clean
    difference = compare(index, media, space, folder / "fresh")
    heads = ("that hit an update", "rows lost or twice", "largest difference to a new index")
    print_heads("kills", *heads)
    print_row(tries, hits, "none" if not errors else f"in {errors} checks", f"{difference:.1e}")
    return errors + (difference > SAME)


def fill_disk(folder: Path) -> int:
    """Index into a disk of 3 MB until it is full; returns the number of errors."""
    space, media, disk = openbind.load("starter", device="cpu"), folder / "m", folder / "disk"
    shutil.copytree(samples_folder(), media)
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], check=True)
    try:
        (disk / "ballast").write_bytes(b"\0" * 1_500_000)
        index = Index.create(disk / "index", space, [media])
        try:
            update(index, space)
            return 1
        except OSError as error:
            note(f"full: {error}")
        except InputError as error:
            note(f"unexpected: {error}")
            return 1
        report = verify(index)
        note(f"full: {report.files} files, sound: {report.sound}")
        (disk / "ballast").unlink()
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        changes = update(index, space)
        after = verify(index)
        print_heads("disk of 3 MB", "files indexed when full", "sound", "clean with space")
        print_row("", report.files, report.sound, after.clean)
        note(f"mended: {changes.embedded} more embedded, clean: {after.clean}")
        return (not report.sound) + (not after.clean)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    errors = 0
    if arguments.tiny:
        with tempfile.TemporaryDirectory() as folder:
            errors += fill_disk(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        errors += kill_often(arguments.kills, arguments.seed, Path(folder))
    note(f"{errors} errors")
    sys.exit(bool(errors))


if __name__ == "__main__":
    main()
