"""Write the pairs of `thermal.yaml` and `depth.yaml`: images with maps of the same view."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from cells import read_lines, write_lines

THERMAL = Path("scenes/thermal.jsonl")
DEPTH, DEPTH_VECTORS = Path("scenes/depth.jsonl"), Path("scenes/depth.npy")
ROOMS = Path("rooms")
FOLDS = 5


def write_thermal(work: Path, data: Path) -> list[Path]:
    """Write the manifest of RoadScene's pairs; return its images.

    Args:
        work: the work folder.
        data: holds `roadscene/{visible,thermal}/<name>.jpg`.
    """
    images = sorted((data / "roadscene" / "visible").glob("*.jpg"))
    fold_N = np.random.default_rng(0).permutation(len(images)) % FOLDS + 1
    lines = [
        {
            "image": str(path.resolve()),
            "thermal": str((data / "roadscene" / "thermal" / path.name).resolve()),
            "split": str(fold),
        }
        for path, fold in zip(images, fold_N, strict=True)
    ]
    write_lines(work / THERMAL, lines)
    return images


def render_rooms(work: Path) -> list[Path]:
    """Render furnished rooms; return an image of each training room.

    Args:
        work: the folder, with the unpacked packages; existing renderings are kept.
    """
    script = Path(__file__).parents[1] / "rooms" / "write_rooms.py"
    subprocess.run([sys.executable, script, "--work", work, "--out", work], check=True)
    rows = read_lines(work / ROOMS / "train.jsonl")
    return list({row["scene"]: work / row["image"] for row in reversed(rows)}.values())


def write_depth(work: Path, embed: Callable[[Sequence[Path]], torch.Tensor], what_dim: int) -> None:
    """Write the pairs of the training rooms: depth with an image vector.

    A single view may show only a corner. So the semantic dimensions come from all images of the
    room, and the layout dimensions from the image of the same view.

    Args:
        work: the folder.
        embed: images → unit vectors (N, E).
        what_dim: number of semantic dimensions; the rest is layout.
    """
    rows = read_lines(work / ROOMS / "train.jsonl")
    views_NE = embed([work / row["image"] for row in rows])
    np.save(work / DEPTH_VECTORS, share_what(views_NE, [r["scene"] for r in rows], what_dim))
    lines = (
        {"depth": row["depth"], "image.vector": f"{DEPTH_VECTORS}#{number}"}
        for number, row in enumerate(rows)
    )
    write_lines(work / DEPTH, lines)


def share_what(views_NE: torch.Tensor, scenes: Sequence[str], what_dim: int) -> np.ndarray:
    """Replace the first dimensions of all views of a scene by their mean; norms are kept."""
    what_NE = views_NE[:, :what_dim]
    names = {name: number for number, name in enumerate(dict.fromkeys(scenes))}
    scene_N = torch.tensor([names[name] for name in scenes])
    sums_SE = torch.zeros(len(names), what_dim).index_add_(0, scene_N, what_NE)
    shared_NE = torch.nn.functional.normalize(sums_SE, dim=1)[scene_N]
    shared_NE = shared_NE * what_NE.norm(dim=1, keepdim=True)
    return torch.cat([shared_NE, views_NE[:, what_dim:]], dim=1).numpy()
