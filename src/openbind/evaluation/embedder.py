"""Embed the items of tasks in one space, each item once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from openbind.embedding.cache import VectorCache
from openbind.embedding.items import Ensemble, Item, item_name
from openbind.embedding.many import Entry, embed_many
from openbind.errors import InputError
from openbind.modalities import TEXT
from openbind.space.space import Space

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from openbind.embedding.many import ComputeOptions


@dataclass(frozen=True)
class EmbeddedRows:
    """Vectors of some items.

    Args:
        vectors_NE: float32 unit rows; NaN where an item can't be used.
        errors: name of an item → why it can't be used.
    """

    vectors_NE: np.ndarray
    errors: Mapping[str, str]

    @cached_property
    def usable(self) -> list[int]:
        """Indices of the rows that have a vector."""
        return np.flatnonzero(np.isfinite(self.vectors_NE).all(axis=1)).tolist()

    def require_some(self) -> list[int]:
        """Return `usable`.

        Raises:
            InputError: no item can be used; names the first.
        """
        if not self.usable:
            name, reason = next(iter(self.errors.items()), ("items", "there are none"))
            raise InputError(name, f"{reason}; no item could be used")
        return self.usable


class Embedder:
    """Embeds items for tasks; vectors are kept in memory, so tasks can share items.

    Args:
        space: the space to be measured.
        cache: vectors of earlier runs; new ones are added.
        progress: show bars on stderr.
        compute: `batch_size`, `workers` and `device`, see `ComputeOptions`.
    """

    def __init__(
        self,
        space: Space,
        *,
        cache: VectorCache | None = None,
        progress: bool = False,
        **compute: Unpack[ComputeOptions],
    ) -> None:
        self.space, self.cache, self.progress, self.compute = space, cache, progress, compute
        self._spaces: dict[tuple[str, str], Space] = {}
        self._rows: dict[tuple[str, str, Item], np.ndarray | str] = {}

    def embed(
        self, modality: str, items: Sequence[Item], settings: Mapping[str, Any] | None = None
    ) -> EmbeddedRows:
        """Embed items of one modality.

        Args:
            modality: one of the space's.
            items: files, texts, parts of files.
            settings: changes of the modality's preprocessing that the protocol prescribes.
        """
        context = (modality, repr(dict(settings or {})))
        new = [item for item in dict.fromkeys(items) if (*context, item) not in self._rows]
        rows = embed_many(
            self._with_settings(modality, settings or {}),
            [Entry(modality, item) for item in new],
            cache=self.cache,
            progress=self.progress,
            **self.compute,
        )
        for row in rows:
            found = row.error.reason if row.vectors_VE is None and row.error else row.vectors_VE
            assert found is not None
            self._rows[(*context, row.entry.item)] = found if isinstance(found, str) else found[0]
        vectors_NE = np.full((len(items), self.space.dim), np.nan, np.float32)
        errors = {}
        for index, item in enumerate(items):
            known = self._rows[(*context, item)]
            if isinstance(known, str):
                errors[item_name(item)] = known
            else:
                vectors_NE[index] = known
        return EmbeddedRows(vectors_NE, errors)

    def embed_prompts(self, prompts: Sequence[Sequence[str]]) -> np.ndarray:
        """Return one vector for each ensemble of prompts: the mean of theirs.

        Args:
            prompts: for each vector one or more texts.

        Returns:
            (ensembles, dim) float32, unit rows.

        Raises:
            InputError: a text can't be used.
        """
        rows = self.embed(TEXT, [t[0] if len(t) == 1 else Ensemble(tuple(t)) for t in prompts])
        for name, reason in rows.errors.items():
            raise InputError(name, reason)
        return rows.vectors_NE

    def _with_settings(self, modality: str, settings: Mapping[str, Any]) -> Space:
        """Return the space with other settings; one object, as its identity hashes all weights."""
        if not settings:
            return self.space
        key = (modality, repr(dict(settings)))
        if key not in self._spaces:
            self._spaces[key] = self.space.with_settings(modality, **settings)
        return self._spaces[key]
