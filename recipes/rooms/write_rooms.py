"""Write image-depth pairs of furnished rooms of six kinds from several cameras each.

    python recipes/rooms/write_rooms.py --work SCRATCH --out SCRATCH

SCRATCH holds the unpacked package `sweethome3d-furniture`. Writes
`rooms/{train,val}/<room>/<scene>-<camera>.jpg`, each with a `.png` of 16-bit z-depth in millimetres
(along the optical axis; 0 where nothing was hit), `rooms/{train,val}.jsonl` and
`rooms/attribution.csv`. The kind of room in the manifests is for evaluation, never for training.
Rooms of `val` use models that no room of `train` uses. Existing files are kept.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from furniture import Model, list_attribution, read_models, split_models
from layout import Plan
from PIL import Image
from plans import ROOM_SIZES, furnish
from render import PartShelf, compile_room, shoot
from tqdm import tqdm

CAMERAS = 4
SCENES = {"train": 1200, "val": 150}
PROCESSES = 2
ATTEMPTS = 20
# Number of main pieces that a room must have; default one.
MIN_KEYS = {"bathroom": 3, "kitchen": 3, "living room": 2}


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A room to write.

    Args:
        side: "train" or "val".
        kind: of room.
        number: index among those of its side and kind.
    """

    side: str
    kind: str
    number: int

    @property
    def name(self) -> str:
        """Return the unique name, which seeds everything random."""
        return f"{self.side}-{self.kind.replace(' ', '-')}-{self.number:04}"

    def paths(self, camera: int) -> tuple[Path, Path]:
        """Return the paths of a camera's image and depth, relative to the output folder."""
        folder = Path("rooms") / self.side / self.kind.replace(" ", "_")
        stem = f"{self.name}-{camera}"
        return folder / f"{stem}.jpg", folder / f"{stem}.png"


def main() -> None:
    """Write all pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="holds the unpacked package")
    parser.add_argument("--out", type=Path, required=True, help="gets the folder rooms")
    for side, count in SCENES.items():
        parser.add_argument(f"--{side}", type=int, default=count, help=f"scenes of {side}")
    options = parser.parse_args()
    counts = {side: getattr(options, side) for side in SCENES}
    write_rooms(options.work, options.out, counts)


def write_rooms(work: Path, out: Path, counts: dict[str, int]) -> None:
    """Write missing pairs, the manifests and the attribution.

    Args:
        work: holds the unpacked package.
        out: parent of the folder `rooms`.
        counts: side → number of rooms, divided evenly among the kinds.
    """
    for side, count in counts.items():
        scenes = list_scenes(side, count)
        wanted = [scene for scene in scenes if not is_written(scene, out)]
        with get_context("spawn").Pool(PROCESSES, start_writer, (work, out, side)) as pool:
            for _ in tqdm(pool.imap_unordered(write_scene, wanted, 4), side, total=len(wanted)):
                pass
        write_manifest(out / "rooms" / f"{side}.jsonl", scenes)
    write_attribution(out / "rooms" / "attribution.csv", read_models(work).values())


def list_scenes(side: str, count: int) -> list[Scene]:
    """List rooms, alternating between the kinds."""
    kinds = list(ROOM_SIZES)
    return [
        Scene(side=side, kind=kinds[i % len(kinds)], number=i // len(kinds)) for i in range(count)
    ]


def is_written(scene: Scene, out: Path) -> bool:
    """Return whether all files of a room exist, by the last one written."""
    return (out / scene.paths(CAMERAS - 1)[1]).exists()


class Writer:
    """The state of a worker process.

    Args:
        work: holds the unpacked package.
        out: folder of the files.
        side: "train" or "val", which selects the models.
    """

    current: Writer

    def __init__(self, work: Path, out: Path, side: str):
        self.out, self.shelf = out, PartShelf()
        self.models = split_models(read_models(work), held_out=side == "val")

    def write(self, scene: Scene) -> None:
        """Furnish, render and save a room."""
        rng, plan = plan_room(scene, self.models)
        compiled = compile_room(plan, self.shelf)
        for camera, (rgb_HWC, depth_HW) in enumerate(shoot(compiled, plan, rng, CAMERAS)):
            image, depth = (self.out / path for path in scene.paths(camera))
            image.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rgb_HWC).save(image, quality=92)
            unfinished = depth.with_suffix(
                ".part"
            )  # written atomically: an existing depth file is complete
            millimetres_HW = np.round(depth_HW * 1000).astype(np.uint16)
            Image.fromarray(millimetres_HW).save(unfinished, format="PNG")
            unfinished.replace(depth)


def start_writer(work: Path, out: Path, side: str) -> None:
    """Prepare a process of the pool."""
    Writer.current = Writer(work, out, side)


def write_scene(scene: Scene) -> None:
    """Write a room with the process's writer."""
    Writer.current.write(scene)


def plan_room(scene: Scene, models: dict[str, list[Model]]) -> tuple[np.random.Generator, Plan]:
    """Furnish a room with all its main pieces; it depends only on its name.

    Raises:
        RuntimeError: no attempt placed all main pieces.
    """
    for attempt in range(ATTEMPTS):
        digest = hashlib.sha256(f"{scene.name}/{attempt}".encode()).digest()
        rng = np.random.default_rng(list(digest[:16]))
        plan = furnish(scene.kind, rng, models)
        if len(plan.keys) >= MIN_KEYS.get(scene.kind, 1):
            return rng, plan
    raise RuntimeError(f"{scene.name}: too few main pieces in {ATTEMPTS} attempts")


def write_manifest(path: Path, scenes: Iterable[Scene]) -> None:
    """Write a JSON line per pair, with paths relative to the output folder."""
    lines = []
    for scene in scenes:
        for camera in range(CAMERAS):
            image, depth = (p.as_posix() for p in scene.paths(camera))
            line = {"image": image, "depth": depth, "label": scene.kind, "scene": scene.name}
            lines.append(json.dumps(line))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_attribution(path: Path, models: Iterable[Model]) -> None:
    """Write a table of the models, their authors and licenses."""
    rows = list_attribution(models)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
