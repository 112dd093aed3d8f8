"""Items of a query and their weights, as they are typed."""

from __future__ import annotations

import argparse

import pytest

from openbind.cli.query import add_query_arguments, query_terms
from openbind.errors import InputError


def terms_of(*given: str) -> list[tuple[str, str, float]]:
    parser = argparse.ArgumentParser()
    add_query_arguments(parser)
    return [(t.modality, t.item, t.weight) for t in query_terms(parser.parse_args(given))]


def test_weights_belong_to_items() -> None:
    """Each item has its own, in the order of the command line; two of one modality too."""
    given = ["--text", "dog", "--image", "a.jpg", "--weight", "0.3", "--text", "cat", "--weight=-1"]
    assert terms_of(*given) == [("text", "dog", 1), ("image", "a.jpg", 0.3), ("text", "cat", -1)]
    assert terms_of() == []


def test_minus() -> None:
    """It subtracts a text, weighted if need be."""
    found = terms_of("--text", "dog", "--minus", "snow", "--minus", "ice", "--weight", "0.5")
    assert found == [("text", "dog", 1), ("text", "snow", -1), ("text", "ice", -0.5)]


def test_texts_stay_as_they_are() -> None:
    """No part of a text is taken for a weight."""
    assert terms_of("--text", "screen of 16:9", "--text", "cat:-0.5") == [
        ("text", "screen of 16:9", 1),
        ("text", "cat:-0.5", 1),
    ]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (["--weight", "2"], "--weight 2"),
        (["--text", "a", "--weight", "text=2"], "--weight text=2"),
        (["--text", "a", "--weight", "0"], "--weight 0"),
        (["--text", "a", "--weight", "nan"], "--weight nan"),
        (["--text", "a", "--weight", "1", "--weight", "3"], "--weight 3"),
    ],
)
def test_wrong_weights(given: list[str], named: str) -> None:
    """One without an item, a second one, and what isn't a number are refused by name."""
    with pytest.raises(InputError) as error:
        terms_of(*given)
    assert error.value.item == named
