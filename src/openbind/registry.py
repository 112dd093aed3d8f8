"""Tables from names to "module:attribute", read when used and open to other packages."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any

from openbind.errors import UnknownNameError


@dataclass(frozen=True)
class Registry:
    """Names of one family (modalities, towers, ...) and where their code is.

    Nothing is imported until a name is asked for. Other packages add names with an entry point
    in the group `openbind.<plural>`; the table in this project wins over an entry point.

    Args:
        kind: what the names stand for, in the singular; used in errors.
        group: the entry-point group.
        table: name → "module:attribute".
        added: name → value, of this process alone (see `add`).
    """

    kind: str
    group: str
    table: dict[str, str] = field(default_factory=dict)
    added: dict[str, Any] = field(default_factory=dict)

    def names(self) -> tuple[str, ...]:
        """All names, those of this project first, in the table's order."""
        others = (entry.name for entry in entry_points(group=self.group))
        return tuple(dict.fromkeys([*self.table, *self.added, *others]))

    def add(self, name: str, value: Any) -> None:
        """Add a name in this process: for notebooks and single files; packages use entry points.

        Raises:
            ValueError: the name is one of this project's.
        """
        if name in self.table:
            raise ValueError(f"{self.kind} {name!r} is openbind's own; choose another name")
        self.added[name] = value

    def get(self, name: str) -> Any:
        """Import what a name stands for.

        Raises:
            UnknownNameError: the name is in neither the table nor an entry point.
        """
        if name in self.table:
            module, attribute = self.table[name].split(":")
            return getattr(importlib.import_module(module), attribute)
        if name in self.added:
            return self.added[name]
        for entry in entry_points(group=self.group, name=name):
            return entry.load()
        raise UnknownNameError(self.kind, name, self.names())
