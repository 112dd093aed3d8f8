"""Values are counted as cheaply in hostile JSON as in any other, and never too few."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbind.serving import bodies
from openbind.serving.bodies import CHUNK_BYTES, count_values

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('a",[{\\]}:é'),
    lambda inside: st.lists(inside) | st.dictionaries(st.text('b",[{\\'), inside),
)


def count(value: Any) -> int:
    """Count the elements of all lists and objects, and these themselves."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return 1 + max(0, len(value) - 1) + sum(map(count, value))
    return 0


@given(value=JSON, ascii=st.booleans())
@pytest.mark.parametrize("chunk", [1, 3, CHUNK_BYTES])
def test_every_value_counts(value: Any, ascii: bool, chunk: int) -> None:
    """Whatever is in strings, however they are escaped and wherever a chunk ends."""
    body = json.dumps(value, ensure_ascii=ascii).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bodies, "CHUNK_BYTES", chunk)
        assert count_values(body, 10**9) == count(value)


def test_counting_ends_early() -> None:
    """Once there are too many."""
    assert 10 < count_values(b"[" + b"1," * 10_000_000, 10) <= 2 * CHUNK_BYTES
