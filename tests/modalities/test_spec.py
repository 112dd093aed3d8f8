"""Every registered modality is complete, extensions are unique, views select parts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from openbind.errors import InputError
from openbind.modalities import MODALITIES, TEXT, modality_of_file
from openbind.modalities.spec import Modality, Part, View


@pytest.mark.parametrize("name", MODALITIES.names())
def test_complete(name: str) -> None:
    """Each has a name, a sentence, frozen settings, a version and extensions in lower case."""
    modality = MODALITIES.get(name)
    assert modality.name == name
    assert modality.accepts
    assert dataclasses.is_dataclass(modality.settings)
    assert modality.settings.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert all(e.startswith(".") and e == e.lower() for e in modality.extensions)
    assert modality.scale > 0
    assert modality.version >= 1


def test_text_is_registered() -> None:
    """The modality of labels and captions exists."""
    assert TEXT in MODALITIES.names()


def test_extensions_lead_to_modalities() -> None:
    """Upper and lower case match, among the given modalities only."""
    assert modality_of_file("a/B.JPG", ["image", "audio"]) == "image"
    assert modality_of_file("a.wav", ["image"]) is None
    assert modality_of_file("a.docx", ["image", "audio"]) is None


def test_no_extension_is_claimed_twice() -> None:
    """Extensions belong to one modality."""
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
    """The moment places it between the span's start and end, clipped to a recording of 8 s."""
    assert view.excerpt(8.0, "it") == pytest.approx(expected)
    assert view.steps(80, 10, "it") == (10 * expected[0], 10 * expected[1])


def test_excerpts_of_one_length_have_equal_counts() -> None:
    """The count depends on neither position nor rounding, and is at least one."""
    for moment in np.random.default_rng(0).random(500):
        first, end = View(seconds=0.3, moment=float(moment)).steps(1_000, 29.97, "it")
        assert end - first == 9
        assert 0 <= first < end <= 1_000
    assert View(seconds=1e-9, moment=1.0).steps(10, 10, "it") == (9, 10)
    assert View().steps(29, 100, "it") == (0, 29)
    assert View().steps(0, 100, "it") == (0, 0)


@pytest.mark.parametrize("span", [(9.0, 12.0), (8.0, 9.0), (3.0, 3.0), (-1.0, 2.0)])
def test_a_span_outside_is_refused(span: tuple[float, float]) -> None:
    """After the end, empty, or before the start: the error names the item and its duration."""
    with pytest.raises(InputError, match=r"it: lasts 8\.00 s"):
        View(span=span).excerpt(8.0, "it")


def test_crop_is_in_fractions() -> None:
    """A box covers the same fraction at any resolution, and is mirrored after cropping."""
    pixels = np.arange(24).reshape(4, 6)
    assert View().crop(pixels) is pixels
    box = (0.25, 0.5, 0.5, 0.5)
    np.testing.assert_array_equal(View(box=box).crop(pixels), pixels[1:3, 3:])
    np.testing.assert_array_equal(View(box=box, flip=True).crop(pixels), pixels[1:3, :2:-1])
    double = pixels.repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(View(box=box).crop(double)[::2, ::2], pixels[1:3, 3:])
    assert View(box=(1.0, 1.0, 0.0, 0.0)).crop(pixels) == [[23]]


def test_part_of_an_item() -> None:
    """Any other item becomes the part that is all of it; a part is returned unchanged."""
    part = Part("it", View(flip=True))
    assert Part.of(part) is part
    assert Part.of("it") == Part("it", View())


MAP = np.zeros((8, 6))


@pytest.mark.parametrize(
    ("name", "array", "expected"),
    [
        ("depth", MAP, False),
        ("depth", MAP[..., None], False),
        ("thermal", np.zeros((8, 6, 3)), False),
        ("depth", np.stack([MAP] * 5), True),
        ("depth", MAP[None], True),
        ("depth", np.zeros((3, 8, 6)), True),
        ("thermal", np.zeros((5, 8, 6, 3)), True),
        ("depth", torch.zeros(1, 8, 6), False),
        ("depth", torch.zeros(3, 8, 6), False),
        ("depth", torch.zeros(5, 8, 6), True),
        ("image", np.zeros((3, 8, 6)), False),
        ("image", np.zeros((8, 6, 3)), False),
        ("image", torch.zeros(2, 3, 8, 6), True),
        ("text", np.array(["a dog", "a cat"]), True),
        ("text", np.array(["a dog", "a cat"], dtype=object), True),
        ("text", np.array("a dog"), False),
        ("audio", np.array(["a.wav", "b.wav"]), True),
        ("audio", np.zeros((2, 16_000)), False),
    ],
)
def test_arrays_of_several_items(name: str, array: Any, expected: bool) -> None:
    """Strings and objects are items each; numbers are one item up to its number of axes."""
    assert MODALITIES.get(name).is_batch(array) is expected


def test_columns_of_tables_hold_several_items() -> None:
    """A pandas Series of texts is as many items as it has rows."""
    pandas = pytest.importorskip("pandas")
    assert MODALITIES.get(TEXT).is_batch(pandas.Series(["a dog", "a cat"]))


def test_views_are_read_lazily_in_order() -> None:
    """`View()` yields the item itself; each other view is applied when its turn comes."""
    applied = []

    def apply_view(item: Any, view: View) -> str:
        applied.append(view)
        return f"{item} flipped"

    modality = dataclasses.replace(MODALITIES.get("image"), apply_view=apply_view, open_views=None)
    parts = modality.read_views("it", [View(), View(flip=True)])
    assert next(parts) == "it"
    assert not applied
    assert list(parts) == ["it flipped"]


def test_modalities_without_parts_have_the_whole_only() -> None:
    """Any other view is refused, with the item's and the modality's name."""
    text = MODALITIES.get(TEXT)
    assert list(text.read_views("a dog", [View()])) == ["a dog"]
    with pytest.raises(InputError, match=r"a dog.*text"):
        list(text.read_views("a dog", [View(seconds=1.0)]))


def test_closing_the_views_closes_the_file() -> None:
    """Closing the iterator before its end reaches the modality's own reader."""
    closed = []

    def open_views(item: Any, views: Sequence[View]) -> Iterator[Any]:
        try:
            yield from views
        finally:
            closed.append(item)

    modality: Modality = dataclasses.replace(MODALITIES.get("video"), open_views=open_views)
    parts = modality.read_views("it", [View(), View()])
    next(parts)
    parts.close()
    assert closed == ["it"]
