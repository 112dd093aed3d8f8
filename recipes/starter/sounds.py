"""Write the pairs of `audio.yaml`: audio with images of the same class."""

from __future__ import annotations

from pathlib import Path

from cells import Cells, write_lines
from pairs import SOUND_IMAGES, read_stamp_sounds

# Relative to the work folder, as in the recipe.
CLASSES = Path("sounds/classes.jsonl")
STAMPS = Path("sounds/stamps.jsonl")


def write_sounds(work: Path, data: Path, cells: Cells) -> None:
    """Write the two manifests into the work folder.

    Args:
        work: the folder.
        data: holds `esc10/<class>/<fold>-<clip>.ogg`.
        cells: image vectors.
    """
    lines = []
    for label, wanted in sorted(SOUND_IMAGES.items()):
        own = cells.show(wanted)
        for path in sorted((data / "esc10" / label).glob("*.ogg")):
            line = {"audio": str(path.resolve()), "image.vector": own}
            lines.append({**line, "label": label, "split": path.name[0]})
    write_lines(work / CLASSES, lines)
    stamps = [
        {"audio": sound.relative_to(work).as_posix(), "image.vector": cells.of_image[image]}
        for sound, image in read_stamp_sounds(work)
        if image in cells.of_image
    ]
    write_lines(work / STAMPS, stamps)
