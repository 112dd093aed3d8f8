"""ImageNet-1k, validation split: 50,000 images of 1,000 classes (Russakovsky et al. 2015)."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

from openbind.errors import InputError
from openbind.evaluation.prompts import CLIP_TEMPLATES
from openbind.evaluation.results import Published
from openbind.evaluation.suites.suite import Suite, require
from openbind.evaluation.tasks.classification import Classification

CLASSES = 1_000


def read(data: Path) -> tuple[Classification, ...]:
    """Read the images; classes are their folders in order, class names ship.

    Raises:
        InputError: there is no folder `val`, or not one folder per class in it.
    """
    require("ImageNet", data, "val")
    folders = sorted(path for path in (data / "val").iterdir() if path.is_dir())
    if len(folders) != CLASSES:
        raise InputError(
            data / "val",
            f"expected {CLASSES:,} folders, one per class (val/n01440764/…), found "
            f"{len(folders):,}; sort the images into their classes first",
        )
    paths, targets = [], []
    for index, folder in enumerate(folders):
        for path in sorted(folder.glob("*.JPEG")):
            paths.append(path)
            targets.append((index,))
    if not paths:
        raise InputError(data / "val", "no *.JPEG in its folders")
    task = Classification(
        name="zero-shot",
        modality="image",
        items=paths,
        targets=targets,
        classes=[(name,) for name in read_names()],
        templates=CLIP_TEMPLATES,
    )
    return (task,)


def read_names() -> list[str]:
    """Return a clean name of each class, in the order of WordNet ids."""
    text = (files("openbind") / "assets/class_names/imagenet.json").read_text(encoding="utf-8")
    names: list[str] = json.loads(text)
    return names


SUITE = Suite(
    title="ImageNet-1k, validation split",
    layout="val/<WordNet id>/*.JPEG, 1,000 folders",
    origin="https://image-net.org",
    license="for non-commercial research",
    read=read,
    published=(
        Published(
            task="zero-shot",
            metric="accuracy",
            value=0.777,
            where="ImageBind, Table 2; OpenCLIP's",
            count=50_000,
            choices=1_000,
        ),
    ),
    overlaps=("ImageNet",),
)
