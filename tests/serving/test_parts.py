"""Parts of a query: items of requests, and indexed items by their public id."""

from __future__ import annotations

import numpy as np
import pytest

from openbind import Index
from openbind.errors import InputError
from openbind.serving.errors import ApiError
from openbind.serving.hits import PublicIds
from openbind.serving.kept import KeptFiles
from openbind.serving.limits import Limits
from openbind.serving.parts import read_parts
from openbind.serving.schemas import QueryPart

IDS = PublicIds(b"secret")
KEPT = KeptFiles(b"secret", Limits())


def part(**fields: object) -> QueryPart:
    return QueryPart.model_validate(fields)


def check_modality(name: str | None, param: str) -> str:
    return name or "text"


def test_texts_and_indexed_items(index: Index) -> None:
    """A text stays one; an id becomes the vector of its row, with the row's modality."""
    hit = next(hit for hit in index.sample(99, 0)[0] if hit.modality == "audio")
    given = [part(input="rain", weight=-1), part(id=IDS.public(hit.id))]
    given.append(part(file=KEPT.add("a.png", b"content").id, modality="image"))
    text, found, kept = read_parts(given, check_modality, lambda: index, IDS, KEPT)
    assert (text.modality, text.item, text.weight) == ("text", "rain", -1)
    assert found.modality == "audio"
    assert (kept.modality, kept.item) == ("image", b"content")
    np.testing.assert_allclose(found.item, index.vectors([hit.id])[0])


def test_wrong_parts(index: Index) -> None:
    """Neither an item nor an id, or both; no data URL; no such id."""
    hit = index.search(np.eye(index.meta.dim, dtype=np.float32)[0], 1)[0]
    both = part(input="rain", id=IDS.public(hit.id))
    unnamed = part(file=KEPT.add("a.png", b"content").id)
    for wrong in (part(), both, unnamed, part(modality="image", input="rain")):
        with pytest.raises(InputError) as caught:
            read_parts([part(input="a"), wrong], check_modality, lambda: index, IDS, KEPT)
        assert caught.value.item.startswith("parts[1]")
    with pytest.raises(ApiError):
        read_parts([part(id="nonsense")], check_modality, lambda: index, IDS, KEPT)
    with pytest.raises(ApiError):
        read_parts([part(file="gone", modality="image")], check_modality, lambda: index, IDS, KEPT)
