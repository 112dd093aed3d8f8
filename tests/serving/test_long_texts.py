"""Long texts are cut into parts that fit, and nothing of them is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbind.serving.long_texts import split_text


@given(st.text("ab \n", min_size=1).filter(str.strip), st.integers(1, 9))
def test_parts(text: str, context: int) -> None:
    """All fit; joined they are the text, but for white space."""
    parts = split_text(text, lambda part: len(part) <= context)
    assert all(len(part) <= context for part in parts) or parts == [text]
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(part.strip() for part in parts)


@pytest.mark.parametrize(
    ("text", "parts"), [("ab cd ef gh", ["ab cd", "ef gh"]), ("abcd", ["abcd"])]
)
def test_cut_between_words(text: str, parts: list[str]) -> None:
    """Where there are any; texts that fit stay whole."""
    assert split_text(text, lambda part: len(part) <= 6) == parts
