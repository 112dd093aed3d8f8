"""The condition of a search: its modalities and its filter, as SQL of the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from openbind.errors import InputError
from openbind.search.filter_json import read_filter
from openbind.search.filter_text import parse_filter
from openbind.search.filters import And, Column, Filter, Within, to_sql

Where = str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]] | None
"""A filter as text or as a tree, or several, which all hold; None for all rows."""


def write_condition(known: Sequence[str], modalities: Sequence[str], where: Where) -> str | None:
    """Return the filters of a search as SQL, joined as trees; None for all rows.

    Args:
        known: modalities of the index.
        modalities: of the results; empty for all.
        where: filter of the rows, see `openbind.search.index.Index.search`.

    Raises:
        InputError: an unknown modality, or an invalid filter.
    """
    for name in modalities:
        if name not in known:
            raise InputError(name, f"not a modality of this index; it has {', '.join(known)}")
    parts: list[Filter] = [Within(Column("modality"), tuple(modalities))] if modalities else []
    for each in [where] if isinstance(where, str | Mapping) else where or ():
        if isinstance(each, Mapping):
            parts.append(read_filter(each))
        elif each.strip():
            parts.append(parse_filter(each))
    return to_sql(And(tuple(parts))) if parts else None
