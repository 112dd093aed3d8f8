"""What the demo looks at, samples and unseen sets with their licenses, and what it asks."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from openbind.configs import from_dict
from openbind.evaluation.builtin import find_sets
from openbind.evaluation.held_out import held_out_folder, read_rows, read_sets

MORE = 4
"""Items of a folder of the user's that are asked for in each direction."""


@dataclass(frozen=True, kw_only=True)
class SampleItem:
    """One row of `samples.csv`.

    Args:
        path: file below the collection's folder; empty for a caption.
        modality: what it is.
        concept: what it shows, sounds like, or says; one name for all modalities.
        title: its title, or the caption itself.
        author, license, source, sha256: where it comes from and how it may be used.
        settings: JSON of the modality's settings that the file needs (units of depth); "" is none.
    """

    path: str
    modality: str
    concept: str
    title: str
    author: str
    license: str
    source: str
    sha256: str
    settings: str = ""

    @property
    def key(self) -> str:
        """What queries call it by: its path, or the caption."""
        return self.path or self.title

    def content(self, folder: Path) -> Any:
        """What `space.encode` takes: the path of the file, or the caption."""
        return folder / self.path if self.path else self.title


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """Queries of one modality answered by another: each is an item's key, or words."""

    source: str
    target: str
    queries: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Arithmetic:
    """A weighted sum of items, and the items that answer it best.

    Args:
        title: in words.
        parts: (modality, key, weight).
        target: modality of the answers.
        expected: keys of items that show both.
    """

    title: str
    parts: tuple[tuple[str, str, float], ...]
    target: str
    expected: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Script:
    """What the demo shows.

    Args:
        unseen: titles of held-out sets that are shown beside the samples.
        retrieval: cross-modal queries.
        arithmetic: sums.
        classified: modalities that are classified by words.
        template: prompt with {} for the concept.
        heat_maps: pairs of modalities.
    """

    unseen: tuple[str, ...]
    retrieval: tuple[Retrieval, ...]
    arithmetic: tuple[Arithmetic, ...]
    classified: tuple[str, ...]
    template: str
    heat_maps: tuple[tuple[str, str], ...]

    def asking(self, items: Sequence[SampleItem]) -> Script:
        """Ask for the first of some more items as well, where they are on both sides."""
        more: dict[str, tuple[str, ...]] = {}
        for item in items:
            more[item.modality] = (*more.get(item.modality, ()), item.key)[:MORE]
        retrieval = (
            dataclasses.replace(r, queries=r.queries + more[r.source])
            if {r.source, r.target} <= more.keys()
            else r
            for r in self.retrieval
        )
        return dataclasses.replace(self, retrieval=tuple(retrieval))

    def among(self, modalities: Collection[str]) -> Script:
        """Exclude what asks for a modality that isn't one of these."""
        has = set(modalities)
        return dataclasses.replace(
            self,
            retrieval=tuple(r for r in self.retrieval if {r.source, r.target} <= has),
            arithmetic=tuple(
                a for a in self.arithmetic if {a.target, *(name for name, *_ in a.parts)} <= has
            ),
            classified=tuple(name for name in self.classified if name in has),
            heat_maps=tuple(pair for pair in self.heat_maps if set(pair) <= has),
        )


def samples_folder() -> Path:
    """Where the collection lies."""
    return Path(str(files("openbind"))) / "assets" / "samples"


def read_samples(folder: Path) -> list[SampleItem]:
    """Read the table of a collection."""
    with (folder / "samples.csv").open(encoding="utf-8", newline="") as file:
        return [from_dict(SampleItem, row) for row in csv.DictReader(file)]


def read_unseen(titles: Sequence[str]) -> list[SampleItem]:
    """Return the items of held-out sets that ship, in the order of their table.

    Args:
        titles: of the sets.

    Returns:
        items whose paths go out from `samples_folder`.
    """
    folder = Path(os.path.relpath(held_out_folder(), samples_folder()))
    return [
        SampleItem(
            path=(folder / row.path).as_posix() if row.path else "",
            modality=row.modality,
            concept=row.label,
            title=row.title,
            author=row.author,
            license=row.license,
            source=row.source,
            sha256=row.sha256,
            settings=row.settings,
        )
        for row in read_rows(held_out_folder())
        if row.set in titles
    ]


def read_on_disk(data: Path) -> list[SampleItem]:
    """Return the items of held-out sets that may not ship, from a folder of the user's.

    Args:
        data: holds one of the folders that `openbind evaluate --data` takes, such as `roadscene`.

    Raises:
        InputError: it holds none, or one isn't as expected.
    """
    shipped = {held.title for held in read_sets(held_out_folder())}
    return [
        SampleItem(
            path=item.path,
            modality=modality,
            concept=item.label or item.pair,
            title=item.title,
            author=held.title,
            license="not to be passed on",
            source=str(data),
            sha256="",
            settings=json.dumps(dict(side.settings)) if side.settings else "",
        )
        for held in find_sets(data)
        if held.title not in shipped
        for modality, side in held.sides.items()
        for item in side.items
        if item.path
    ]


def read_script(folder: Path) -> Script:
    """Read what the demo is to show."""
    return from_dict(Script, json.loads((folder / "demo.json").read_text(encoding="utf-8")))
