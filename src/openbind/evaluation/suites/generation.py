"""Generation: files of things, sorted into folders by class; images are drawn from them."""

from __future__ import annotations

from pathlib import Path

from openbind.errors import InputError
from openbind.evaluation.suites.suite import Suite, require
from openbind.evaluation.tasks.drawing import Drawing
from openbind.modalities import IMAGE, MODALITIES, modality_of_file

TITLE = "generation"


def read(data: Path) -> tuple[Drawing, ...]:
    """Return a task for each modality of the files.

    Raises:
        InputError: no folder has images and files of another modality.
    """
    require(TITLE, data)
    found: dict[str, list[tuple[str, Path]]] = {}
    for folder in sorted(path for path in data.iterdir() if path.is_dir()):
        for path in sorted(folder.iterdir()):
            modality = modality_of_file(path, MODALITIES.names())
            if modality is not None:
                found.setdefault(modality, []).append((folder.name, path))
    real = found.pop(IMAGE, [])
    shown = {label for label, _ in real}
    tasks = []
    for modality, files in found.items():
        own = [(label, path) for label, path in files if label in shown]
        if own:
            tasks.append(
                Drawing(
                    name=f"drawing from {modality}",
                    modality=modality,
                    items=[path for _, path in own],
                    labels=[label for label, _ in own],
                    real=real,
                )
            )
    if not tasks:
        there = ", ".join(sorted(path.name for path in data.iterdir())[:8]) or "nothing"
        reason = "a folder <class>/ with images and files of another modality is missing; "
        raise InputError(data, f"{reason}expected at least one, found {there}")
    return tuple(tasks)


SUITE = Suite(
    title=TITLE,
    layout="<class>/<any name>.<extension>: at least one image, and sounds or other modalities",
    origin="files of your own",
    license="theirs",
    read=read,
)
