"""Every modality of the table is complete, and files find theirs by their endings."""

from __future__ import annotations

import dataclasses

import pytest

from openbind.modalities import MODALITIES, WORDS, modality_of_file


@pytest.mark.parametrize("name", MODALITIES.names())
def test_complete(name: str) -> None:
    """A name, a sentence, frozen settings, endings in lower case."""
    modality = MODALITIES.get(name)
    assert modality.name == name
    assert modality.accepts
    assert dataclasses.is_dataclass(modality.settings)
    assert modality.settings.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert all(e.startswith(".") and e == e.lower() for e in modality.extensions)
    assert modality.scale > 0


def test_words_are_a_modality() -> None:
    """Labels and captions go through one of the table."""
    assert WORDS in MODALITIES.names()


def test_endings_lead_to_modalities() -> None:
    """In any case, among those asked for."""
    assert modality_of_file("a/B.JPG", ["image", "audio"]) == "image"
    assert modality_of_file("a.wav", ["image"]) is None
    assert modality_of_file("a.docx", ["image", "audio"]) is None


def test_no_ending_is_claimed_twice() -> None:
    """Two modalities don't share an ending."""
    endings = [e for name in MODALITIES.names() for e in MODALITIES.get(name).extensions]
    assert len(endings) == len(set(endings))
