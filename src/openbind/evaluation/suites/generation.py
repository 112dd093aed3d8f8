"""Generation: files of things, sorted into folders by class; images are drawn from them."""

from __future__ import annotations

from pathlib import Path

from openbind.errors import InputError
from openbind.evaluation.suites.suite import Suite, require
from openbind.evaluation.tasks.drawing import Drawing, default_judge, take_turns
from openbind.modalities import IMAGE, MODALITIES, modality_of_file

TITLE = "generation"


def read(data: Path) -> tuple[Drawing, ...]:
    """Return a task for each modality of the files.

    Raises:
        InputError: no folder is named as something that the judge knows, or has usable files.
    """
    require(TITLE, data)
    known = set(default_judge().names)
    found: dict[str, list[tuple[str, Path]]] = {}
    for folder in sorted(path for path in data.iterdir() if path.name in known and path.is_dir()):
        for path in sorted(folder.iterdir()):
            modality = modality_of_file(path, MODALITIES.names())
            if modality is not None:
                found.setdefault(modality, []).append((folder.name, path))
    real = found.pop(IMAGE, [])
    shown = {label for label, _ in real}
    tasks = []
    for modality, files in found.items():
        own = [(label, path) for label, path in files if label in shown]
        own = take_turns(own, [label for label, _ in own])
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
        some = ", ".join(sorted(known)[:8])
        there = ", ".join(sorted(path.name for path in data.iterdir())[:8]) or "nothing"
        reason = "a folder <class>/ with images and files of another modality is missing; "
        raise InputError(data, f"{reason}classes are {some} and others, found {there}")
    return tuple(tasks)


SUITE = Suite(
    title=TITLE,
    layout="<class>/<any name>.<extension>: at least one image, and sounds or other modalities",
    origin="files of your own",
    license="theirs",
    read=read,
)
