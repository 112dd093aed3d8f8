"""Write a few rooms of unseen furniture as samples: images, depth, videos and credits.

    python recipes/rooms/write_samples.py --work SCRATCH --out SCRATCH/rooms_samples

writes `<room>-<number>.jpg`, `.png` (16-bit z-depth in millimetres) and `-heat.jpg` (a synthetic
thermal image), `<room>.mp4` (a camera panning in another room) and `attribution.csv` with a line
per room: image, depth, heat, video, kind, and its models with authors and licenses.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
from furniture import Model, list_attribution, read_models, split_models
from heat import render_heat
from layout import Plan
from PIL import Image
from plans import ROOM_SIZES
from render import HEIGHT, WIDTH, PartShelf, compile_room, shoot, turn
from write_rooms import Scene, plan_room

EACH = 2
CANDIDATES = 4
VIDEO_FRAMES, VIDEO_RATE_HZ, VIDEO_DEGREES = 36, 12, 60.0


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
        out: folder of the files.
    """
    out.mkdir(parents=True, exist_ok=True)
    models, shelf = split_models(read_models(work), held_out=True), PartShelf()
    rows = []
    for kind in ROOM_SIZES:
        for number in range(EACH):
            scene = Scene(side="sample", kind=kind, number=number)
            rng, plan = plan_room(scene, models)
            compiled = compile_room(plan, shelf)
            camera = compiled.cam_pos, compiled.cam_quat, compiled.cam_fovy
            views = [
                (*view, [values[0].copy() for values in camera])
                for view in shoot(compiled, plan, rng, CANDIDATES)
            ]
            # The view with the largest spread of depths.
            rgb_HWC, depth_HW, pose = max(views, key=lambda view: float(view[1].std()))
            for values, then in zip(camera, pose, strict=True):
                values[0] = then
            heat_HW = render_heat(compiled, plan, rng)
            stem = f"{kind.replace(' ', '-')}-{number + 1}"
            Image.fromarray(rgb_HWC).save(out / f"{stem}.jpg", quality=92)
            Image.fromarray(np.round(depth_HW * 1000).astype(np.uint16)).save(out / f"{stem}.png")
            Image.fromarray(heat_HW).save(out / f"{stem}-heat.jpg", quality=92)
            rows.append({"image": f"{stem}.jpg", "depth": f"{stem}.png", "video": ""})
            rows[-1]["heat"] = f"{stem}-heat.jpg"
            rows[-1] |= credit(kind, plan)
        scene = Scene(side="video", kind=kind, number=0)
        rng, plan = plan_room(scene, models)
        path = out / f"{kind.replace(' ', '-')}.mp4"
        frames = turn(compile_room(plan, shelf), plan, rng, VIDEO_DEGREES, VIDEO_FRAMES)
        write_video(path, frames)
        rows.append({"image": "", "depth": "", "heat": "", "video": path.name} | credit(kind, plan))
    with (out / "attribution.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_video(path: Path, frames: Iterable[np.ndarray]) -> None:
    """Write RGB frames (H, W, 3) as H.264 without audio."""
    with av.open(str(path), "w") as video:
        stream = video.add_stream("libx264", rate=VIDEO_RATE_HZ)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"crf": "30"}
        for rgb_HWC in frames:
            video.mux(stream.encode(av.VideoFrame.from_ndarray(rgb_HWC, format="rgb24")))
        video.mux(stream.encode())


def credit(kind: str, plan: Plan) -> dict[str, str]:
    """Return the credits of a room: models, authors, licenses, semicolon-separated."""
    used = [piece.shape for piece in plan.pieces if isinstance(piece.shape, Model)]
    credits = list_attribution(used)
    return {
        "room": kind,
        "models": "; ".join(f"{c['model']} ({c['title']})" for c in credits),
        "authors": "; ".join(c["author"] for c in credits),
        "licenses": "; ".join(c["license"] for c in credits),
    }


if __name__ == "__main__":
    main()
