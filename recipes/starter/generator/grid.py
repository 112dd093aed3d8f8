"""Draw the grid of the documentation.

python recipes/starter/generator/grid.py --out docs/generation.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageDraw

import openbind
from openbind.evaluation.held_out import held_out_folder, read_sets

NOUNS = ("strawberry", "horse", "bell", "sun", "fish", "tree", "car", "duck", "clock", "rose")
EACH, SIDE, TITLE = 2, 96, 16
"""Images of each query; pixels of an image, and of the line above."""


def main() -> None:
    """Draw nouns, then the first held-out sound of each class."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    space = openbind.load("starter")
    things = next(held for held in read_sets(held_out_folder()) if "audio" in held.sides)
    sounds = {item.label: item.content for item in reversed(things.sides["audio"].items)}
    chosen = sorted(sounds)[: len(NOUNS)]
    rows = [
        ("text", list(NOUNS), list(NOUNS)),
        ("audio", chosen, [sounds[label] for label in chosen]),
    ]
    height = TITLE + EACH * SIDE
    grid = Image.new("RGB", (len(NOUNS) * SIDE, len(rows) * height), "white")
    pen = ImageDraw.Draw(grid)
    for row, (modality, names, items) in enumerate(rows):
        drawn = space.generate(space.encode(modality, items), modality=modality, n=EACH)
        for column, (name, images) in enumerate(zip(names, drawn, strict=True)):
            pen.text((column * SIDE + 4, row * height + 2), name, fill="black")
            for index, image in enumerate(images):
                grid.paste(image, (column * SIDE, row * height + TITLE + index * SIDE))
    grid.save(options.out)


if __name__ == "__main__":
    main()
