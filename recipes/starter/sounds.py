"""Write what `audio.yaml` trains on: sounds with pictures of the same thing, and other pictures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pairs import SOUND_PICTURES, Picture, read_stamp_sounds

# Below the work folder, as the recipe names them.
START = Path("sounds/start")
CLASSES = Path("sounds/classes.jsonl")
STAMPS = Path("sounds/stamps.jsonl")
PICTURES = Path("sounds/pictures.jsonl")
VECTORS = Path("sounds/pictures.npy")
CLASS_VECTORS = Path("sounds/classes.npy")


def write_manifests(
    work: Path,
    data: Path,
    pictures: Sequence[Picture],
    views_KSE: torch.Tensor,
    classes: Mapping[str, torch.Tensor],
) -> None:
    """Write the three manifests, and the vectors that they name, into the work folder.

    Args:
        work: the folder.
        data: holds `esc10/<class>/<fold>-<clip>.ogg`.
        pictures: all that a sound may be contrasted with.
        views_KSE: unit embeddings of their views.
        classes: name of each of the picture classifier's classes, which count as pictures, and its
            unit embedding (E,).
    """
    np.save(work / VECTORS, views_KSE.flatten(0, 1).numpy())
    np.save(work / CLASS_VECTORS, torch.stack(list(classes.values())).numpy())
    count = views_KSE.shape[1]
    views = {
        picture.path: [f"{VECTORS}#{row}" for row in range(k * count, (k + 1) * count)]
        for k, picture in enumerate(pictures)
    }
    # A class has one vector; it weighs as much as a picture.
    names = list(classes)
    seen = {name: [f"{CLASS_VECTORS}#{row}"] * count for row, name in enumerate(names)}
    lines = []
    for label, wanted in sorted(SOUND_PICTURES.items()):
        own = [cell for name in wanted.get("classes", ()) for cell in seen[name]]
        for picture in pictures:
            if picture.name in wanted.get(picture.source, ()):
                own += views[picture.path]
        for path in sorted((data / "esc10" / label).glob("*.ogg")):
            line = {"audio": str(path.resolve()), "image.vector": own}
            lines.append({**line, "label": label, "split": path.name[0]})
    write_lines(work / CLASSES, lines)
    stamps = [
        {"audio": sound.relative_to(work).as_posix(), "image.vector": views[picture]}
        for sound, picture in read_stamp_sounds(work)
        if picture in views
    ]
    write_lines(work / STAMPS, stamps)
    others = [cell for cells in views.values() for cell in cells]
    write_lines(work / PICTURES, [{"image.vector": cell} for cell in others])


def write_lines(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    """Write JSON Lines."""
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    path.write_text(text, encoding="utf-8")
