"""Pick a few rooms of unseen furniture to show: pictures, depth, and whom to credit.

    python recipes/rooms/write_samples.py --work SCRATCH --out SCRATCH/rooms_samples

writes `<room>-<number>.jpg` and `.png` (16-bit z-depth in millimetres) and `attribution.csv` with
a line for each: image, depth, room, and its models with authors and licences.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from furniture import Model, list_attribution, read_models, split_models
from PIL import Image
from plans import ROOM_SIZES
from render import PartShelf, compile_room, shoot
from write_rooms import Scene, plan_room

EACH = 2
CANDIDATES = 4


def main() -> None:
    """Write the samples."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="holds the unpacked package")
    parser.add_argument("--out", type=Path, required=True, help="gets the samples")
    options = parser.parse_args()
    write_samples(options.work, options.out)


def write_samples(work: Path, out: Path) -> None:
    """Write rooms of each kind with a table of credits.

    Args:
        work: holds the unpacked package.
        out: gets the files.
    """
    out.mkdir(parents=True, exist_ok=True)
    models, shelf = split_models(read_models(work), held_out=True), PartShelf()
    rows = []
    for kind in ROOM_SIZES:
        for number in range(EACH):
            scene = Scene(side="sample", kind=kind, number=number)
            rng, plan = plan_room(scene, models)
            views = list(shoot(compile_room(plan, shelf), plan, rng, CANDIDATES))
            # The most depth to see: the view whose depths differ most.
            rgb_HWC, depth_HW = max(views, key=lambda view: float(view[1].std()))
            stem = f"{kind.replace(' ', '-')}-{number + 1}"
            Image.fromarray(rgb_HWC).save(out / f"{stem}.jpg", quality=92)
            Image.fromarray(np.round(depth_HW * 1000).astype(np.uint16)).save(out / f"{stem}.png")
            used = [piece.shape for piece in plan.pieces if isinstance(piece.shape, Model)]
            rows.append(make_row(stem, kind, used))
    with (out / "attribution.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def make_row(stem: str, kind: str, used: list[Model]) -> dict[str, str]:
    """Return a sample's line: models, authors and licences in the same order, cut by semicolons."""
    credits = list_attribution(used)
    return {
        "image": f"{stem}.jpg",
        "depth": f"{stem}.png",
        "room": kind,
        "models": "; ".join(f"{c['model']} ({c['title']})" for c in credits),
        "authors": "; ".join(c["author"] for c in credits),
        "licences": "; ".join(c["licence"] for c in credits),
    }


if __name__ == "__main__":
    main()
