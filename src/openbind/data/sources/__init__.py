"""Training sources: each reads the aligned pairs of one kind of data set."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from openbind.configs import from_dict, schema
from openbind.data.pairs import Rows
from openbind.errors import ConfigError, shorten
from openbind.registry import Registry

SOURCES = Registry(
    "training source",
    "openbind.sources",
    {
        "manifest": "openbind.data.sources.manifest:Manifest",
        "folders": "openbind.data.sources.folders:Folders",
        "shards": "openbind.data.sources.shards:Shards",
        "videos": "openbind.data.sources.videos:Videos",
    },
)


class PairSource(ABC):
    """Base of all sources: a frozen dataclass whose fields are the options in a recipe.

    One field has the name under which `SOURCES` lists the class, usually the path of the data:
    that key selects the source in `data: {manifest: pairs.csv, columns: {…}}`.
    """

    @abstractmethod
    def read(self, pair: tuple[str, str], root: Path) -> Rows:
        """List the pairs without decoding any item.

        Args:
            pair: names of the two modalities, the frozen one first.
            root: the data folder; relative paths start there.

        Raises:
            ConfigError: no pairs found, or a column or folder is missing.
            InputError: a file of the source is missing or broken.
        """

    def state(self, pair: tuple[str, str], root: Path) -> str | None:
        """Hash what decides the rows beside the source's own fields, much faster than reading them.

        Where the data lie doesn't count. None doesn't keep the rows: each process and run lists
        them again.

        Raises:
            ConfigError, InputError: as for `read`.
        """
        return None

    @classmethod
    def from_plain(cls, values: Any, where: str) -> PairSource:
        """Build the source that a recipe's mapping names.

        Raises:
            ConfigError: not a mapping, no or several sources, or an unknown or wrong option.
        """
        known = SOURCES.names()
        if not isinstance(values, dict):
            raise ConfigError(f"{where}: expected a mapping, found {shorten(values)}")
        names = [key for key in values if key in known]
        if len(names) != 1:
            near = [
                n
                for key in list(values)[:20]
                for n in difflib.get_close_matches(str(key)[:100], known, n=1)
            ]
            hint = f"; did you mean {near[0]!r}?" if near and not names else ""
            found = (
                " and ".join(names)
                or ", ".join(str(key)[:40] for key in list(values)[:8])
                or "nothing"
            )
            raise ConfigError(f"{where}: expected one of {', '.join(known)}, found {found}{hint}")
        source: PairSource = from_dict(SOURCES.get(names[0]), values, where)
        return source

    @classmethod
    def plain_schema(cls) -> dict[str, Any]:
        """Return the JSON Schema of the mappings that `from_plain` accepts."""
        return {"anyOf": [schema(SOURCES.get(name)) for name in SOURCES.names()]}
