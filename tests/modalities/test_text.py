"""Text becomes ids of the space's vocabulary."""

from __future__ import annotations

import pytest
import torch
from tokenizers import Tokenizer

import openbind
from openbind.catalog import find
from openbind.modalities.text import MODALITY, TextSettings


def test_ids(starter: openbind.Space) -> None:
    """Known ids of BERT's vocabulary: [CLS] a dog [SEP], lower-cased, padded with 0."""
    ids = starter.preprocess("text", ["A Dog"])
    assert ids[0, :5].tolist() == [101, 1037, 3899, 102, 0]


def test_long_texts_keep_their_end(starter: openbind.Space) -> None:
    """A text longer than the context is truncated, and still ends with [SEP]."""
    settings = starter.config.modalities["text"].settings
    ids = starter.preprocess("text", ["dog " * 5000])
    assert ids.shape == (1, settings.context)
    assert ids[0, -1] == 102


@pytest.mark.parametrize(
    "text",
    [
        "some words of a page " * 2000,
        "words\n" * 2000,
        "w" * 50_000,
        "\x01 " * 40_000 + "dog " * 300,
        "a dog" + " " * 40_000 + "runs",
    ],
)
def test_pages_have_the_ids_of_their_whole(starter: openbind.Space, text: str) -> None:
    """Only the beginning of a page is tokenized, where that gives the same."""
    settings = starter.config.modalities["text"].settings
    folder = find("starter")
    tokenizer = Tokenizer.from_file(str(folder / settings.tokenizer))
    tokenizer.no_padding()
    tokenizer.enable_truncation(settings.context)
    expected = tokenizer.encode(text).ids
    found = starter.preprocess("text", [text])[0].tolist()
    assert found[: len(expected)] == expected
    assert set(found[len(expected) :]) <= {0}


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("", "empty text"),
        (" \n ", "empty text"),
        (b"dog", "found bytes"),
        (3, "found int"),
    ],
)
def test_bad_texts(starter: openbind.Space, item: object, message: str) -> None:
    """Each error names what was found."""
    with pytest.raises(openbind.InputError, match=message):
        starter.encode("text", [item])


def test_clip_vocabulary() -> None:
    """The defaults are CLIP's ids between start and end, padded with zeros."""
    ids = MODALITY.prepare(TextSettings(), None)("a photo of a dog").clips
    assert ids.shape == (1, 77)
    assert ids[0, :8].tolist() == [49406, 320, 1125, 539, 320, 1929, 49407, 0]


def test_case_and_filling(starter: openbind.Space) -> None:
    """`lower` and `pad` are applied."""
    found = starter.with_settings("text", pad=7, lower=True, context=6)
    assert found.preprocess("text", ["A DOG"])[0].tolist() == [101, 1037, 3899, 102, 7, 7]


def test_missing_vocabulary() -> None:
    """A missing file is named."""
    with pytest.raises(openbind.CheckpointError, match=r"absent\.json: no such file"):
        MODALITY.prepare(TextSettings(tokenizer="absent.json", context=8), find("starter"))


def test_bytes() -> None:
    """For towers with a tokenizer of their own: UTF-8, padded with zeros, which no text has."""
    preprocess = MODALITY.prepare(TextSettings(tokenizer="utf-8", context=6), None)
    ids_BN = preprocess("d\0é").clips
    assert ids_BN.dtype == torch.uint8
    assert ids_BN.tolist() == [[*"d é".encode(), 0, 0]]
    assert preprocess("longer than that").clips.tolist() == [[*b"longer"]]
    assert MODALITY.files(TextSettings(tokenizer="utf-8")) == ()
