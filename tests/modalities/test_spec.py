"""Every modality of the table is complete, files find theirs by their extensions, views cut."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from openbind.errors import InputError
from openbind.modalities import MODALITIES, TEXT, modality_of_file
from openbind.modalities.spec import Part, View


@pytest.mark.parametrize("name", MODALITIES.names())
def test_complete(name: str) -> None:
    """A name, a sentence, frozen settings, extensions in lower case."""
    modality = MODALITIES.get(name)
    assert modality.name == name
    assert modality.accepts
    assert dataclasses.is_dataclass(modality.settings)
    assert modality.settings.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert all(e.startswith(".") and e == e.lower() for e in modality.extensions)
    assert modality.scale > 0


def test_words_are_a_modality() -> None:
    """Labels and captions go through one of the table."""
    assert TEXT in MODALITIES.names()


def test_extensions_lead_to_modalities() -> None:
    """In any case, among those asked for."""
    assert modality_of_file("a/B.JPG", ["image", "audio"]) == "image"
    assert modality_of_file("a.wav", ["image"]) is None
    assert modality_of_file("a.docx", ["image", "audio"]) is None


def test_no_extension_is_claimed_twice() -> None:
    """Two modalities don't share an extension."""
    extensions = [e for name in MODALITIES.names() for e in MODALITIES.get(name).extensions]
    assert len(extensions) == len(set(extensions))


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (View(), (0, 8)),
        (View(span=(2, 5)), (2, 5)),
        (View(span=(2, 50)), (2, 8)),
        (View(seconds=2, moment=0), (0, 2)),
        (View(seconds=2), (3, 5)),
        (View(seconds=2, moment=1), (6, 8)),
        (View(span=(2, 5), seconds=2, moment=1), (3, 5)),
        (View(span=(7, 50), seconds=2, moment=1), (7, 8)),
        (View(seconds=20, moment=0.3), (0, 8)),
    ],
)
def test_excerpt_lies_in_the_span(view: View, expected: tuple[float, float]) -> None:
    """At its moment between the span's start and end, cut to what a recording of 8 s has."""
    assert view.excerpt(8.0, "it") == pytest.approx(expected)
    assert view.steps(80, 10, "it") == (10 * expected[0], 10 * expected[1])


def test_excerpts_of_one_length_have_equal_counts() -> None:
    """Wherever they lie, and though times are sums of floats; never less than one step."""
    for moment in np.random.default_rng(0).random(500):
        first, end = View(seconds=0.3, moment=float(moment)).steps(1_000, 29.97, "it")
        assert end - first == 9
        assert 0 <= first < end <= 1_000
    assert View(seconds=1e-9, moment=1.0).steps(10, 10, "it") == (9, 10)
    assert View().steps(29, 100, "it") == (0, 29)
    assert View().steps(0, 100, "it") == (0, 0)


@pytest.mark.parametrize("span", [(9.0, 12.0), (8.0, 9.0), (3.0, 3.0), (-1.0, 2.0)])
def test_nothing_of_the_span_is_there(span: tuple[float, float]) -> None:
    """A span behind the end, an empty one, one before the start: the item and its length."""
    with pytest.raises(InputError, match=r"it: lasts 8\.00 s; nothing is there from"):
        View(span=span).excerpt(8.0, "it")


def test_crop_is_in_shares() -> None:
    """A box has the same share of maps of any size, mirrored after it was cut."""
    pixels = np.arange(24).reshape(4, 6)
    assert View().crop(pixels) is pixels
    box = (0.25, 0.5, 0.5, 0.5)
    np.testing.assert_array_equal(View(box=box).crop(pixels), pixels[1:3, 3:])
    np.testing.assert_array_equal(View(box=box, flip=True).crop(pixels), pixels[1:3, :2:-1])
    double = pixels.repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(View(box=box).crop(double)[::2, ::2], pixels[1:3, 3:])
    assert View(box=(1.0, 1.0, 0.0, 0.0)).crop(pixels) == [[23]]


def test_part_of_an_item() -> None:
    """What is no part is all of it; a part stays what it is."""
    part = Part("it", View(flip=True))
    assert Part.of(part) is part
    assert Part.of("it") == Part("it", View())
