"""The parts of a query in a request: items, and the vectors of indexed ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from openbind.errors import InputError
from openbind.modalities import TEXT
from openbind.search.index import Index
from openbind.search.query import Term
from openbind.serving.hits import PublicIds, not_found
from openbind.serving.kept import KeptFiles
from openbind.serving.payloads import read_payload
from openbind.serving.schemas import QueryPart
from openbind.space.language import note_foreign
from openbind.space.space import Space


def read_parts(
    parts: Sequence[QueryPart],
    check_modality: Callable[[str | None, str], str],
    need_index: Callable[[], Index],
    ids: PublicIds,
    kept: KeptFiles,
) -> list[Term]:
    """Return the terms of a query; those of indexed items have the item's modality.

    Args:
        parts: of the request.
        check_modality: returns the modality that a part names, see `Service.check_modality`.
        need_index: returns the index.
        ids: of its rows.
        kept: files that were sent before.

    Raises:
        InputError: a part isn't one of an item, an id and a file, or its modality isn't the
            space's.
        ApiError: 404, no index, no such item, or a file that isn't kept any more.
    """
    indexed = _read_indexed(parts, need_index, ids)
    terms = []
    for at, part in enumerate(parts):
        name = f"parts[{at}]"
        if [part.input, part.id, part.file].count(None) != 2:
            raise InputError(name, "expected one of 'input', 'id' and 'file'")
        modality = check_modality(part.modality, f"{name}.modality")
        if part.id is not None:
            own, vector_E = indexed[part.id]
            terms.append(Term(own, vector_E, part.weight))
        elif part.file is not None:
            if modality == TEXT:
                raise InputError(f"{name}.modality", "expected what the file is to be read as")
            terms.append(Term(modality, kept.get(part.file).content, part.weight))
        else:
            item = read_payload(modality, part.input, f"{name}.input[0]")
            terms.append(Term(modality, item, part.weight))
    return terms


def _read_indexed(
    parts: Sequence[QueryPart], need_index: Callable[[], Index], ids: PublicIds
) -> dict[str, tuple[str, np.ndarray]]:
    """Return modality and vector of the indexed items by public id, all read at once."""
    given = list(dict.fromkeys(part.id for part in parts if part.id is not None))
    if not given:
        return {}
    rows = {ids.row(each): each for each in given}
    try:
        modalities, vectors_NE = need_index().table.embedded(list(rows))
    except InputError as error:
        raise not_found(rows.get(error.item, error.item)) from error
    return dict(zip(given, zip(modalities, vectors_NE, strict=True), strict=True))


def note_parts(parts: Sequence[QueryPart], space: Space) -> list[str]:
    """Return a sentence about each text in a language that the space doesn't know."""
    texts = [p.input for p in parts if p.input is not None and p.modality in (None, TEXT)]
    return note_foreign(texts, space.card.languages, space.name)
