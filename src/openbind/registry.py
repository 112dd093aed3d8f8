"""Registries of names to "module:attribute", imported on first use, extensible by packages."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from openbind.errors import UnknownNameError


@dataclass(frozen=True)
class Registry:
    """Names of one family (modalities, towers, ...) and the location of their code.

    Code is imported on `get`. Other packages add names with an entry point in the registry's
    group; names of this project take precedence.

    Args:
        kind: of the named objects, in the singular; for errors.
        group: the entry-point group, `openbind.<plural>`.
        table: name → "module:attribute".
        added: name → object, in this process only (see `add`).
    """

    kind: str
    group: str
    table: dict[str, str] = field(default_factory=dict)
    added: dict[str, Any] = field(default_factory=dict)

    def names(self) -> tuple[str, ...]:
        """Return all names, those of this project first, in the table's order."""
        others = _entry_points(self.group, tuple(sys.path))
        return tuple(dict.fromkeys([*self.table, *self.added, *others]))

    def add(self, name: str, value: Any) -> None:
        """Add a name in this process, for notebooks and scripts; packages use entry points.

        Raises:
            ValueError: the name is in this project's table.
        """
        if name in self.table:
            raise ValueError(f"the {self.kind} {name!r} is built in; choose another name")
        self.added[name] = value

    def get(self, name: str) -> Any:
        """Import and return the object of a name.

        Raises:
            UnknownNameError: no such name.
        """
        if name in self.table:
            module, attribute = self.table[name].split(":")
            return getattr(importlib.import_module(module), attribute)
        if name in self.added:
            return self.added[name]
        others = _entry_points(self.group, tuple(sys.path))
        if name in others:
            return others[name].load()
        raise UnknownNameError(self.kind, name, self.names())


@lru_cache
def _entry_points(group: str, path: tuple[str, ...]) -> dict[str, EntryPoint]:
    """Return a group's entry points by name."""
    found: dict[str, EntryPoint] = {}
    for entry in _scan(path).select(group=group):
        found.setdefault(entry.name, entry)
    return found


@lru_cache(maxsize=1)
def _scan(path: tuple[str, ...]) -> Any:
    """Return the entry points of all packages, read once for all registries: it takes long."""
    return entry_points()
