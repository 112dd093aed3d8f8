"""The sample collection: files and captions with their licences, and the demo's queries."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from openbind.configs import from_dict


@dataclass(frozen=True, kw_only=True)
class SampleItem:
    """One row of `samples.csv`.

    Args:
        path: file below the collection's folder; empty for a caption.
        modality: what it is.
        concept: what it shows, sounds like, or says; one name for all modalities.
        title: its title, or the caption itself.
        author, licence, source, sha256: where it comes from and how it may be used.
    """

    path: str
    modality: str
    concept: str
    title: str
    author: str
    licence: str
    source: str
    sha256: str

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
        retrieval: cross-modal queries.
        arithmetic: sums.
        classified: modality that is classified by words.
        template: prompt with {} for the concept.
        heat_maps: pairs of modalities.
    """

    retrieval: tuple[Retrieval, ...]
    arithmetic: tuple[Arithmetic, ...]
    classified: str
    template: str
    heat_maps: tuple[tuple[str, str], ...]


def samples_folder() -> Path:
    """Where the collection lies."""
    return Path(str(files("openbind"))) / "assets" / "samples"


def read_samples(folder: Path) -> list[SampleItem]:
    """Read the table of a collection."""
    with (folder / "samples.csv").open(encoding="utf-8", newline="") as file:
        return [from_dict(SampleItem, row) for row in csv.DictReader(file)]


def read_script(folder: Path) -> Script:
    """Read what the demo is to show."""
    return from_dict(Script, json.loads((folder / "demo.json").read_text(encoding="utf-8")))
