"""Ids equal the reference's; every row has its start and end."""

from __future__ import annotations

import gzip
import html
import itertools
import json
from pathlib import Path

import ftfy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import openbind
from openbind.errors import CheckpointError, InputError
from openbind.signal.bpe import ClipTokenizer, clean_text

VOCABULARY = Path(openbind.__file__).parent / "assets" / "clip_bpe" / "bpe_simple_vocab_16e6.txt.gz"
GOLDEN = json.loads((Path(__file__).parent / "golden" / "clip_tokens.json").read_text("utf-8"))
TOKENIZER = ClipTokenizer(VOCABULARY)
LETTERS = TOKENIZER._tokenizer.get_vocab()
MERGES = [
    tuple(line.split()) for line in gzip.decompress(VOCABULARY.read_bytes()).decode().split("\n")
][1:48_895]
RANKS = {merge: rank for rank, merge in enumerate(MERGES)}


@pytest.mark.parametrize("row", GOLDEN, ids=lambda row: repr(row["text"][:30]))
def test_ids_are_the_reference(row: dict[str, object]) -> None:
    """Ids are identical on every golden text."""
    assert TOKENIZER([str(row["text"])])[0].tolist() == row["tokens"]


def merge_by_definition(word: str) -> list[int]:
    """Merge the pair that is first in the list, until none is in it."""
    parts = [*word[:-1], word[-1] + "</w>"]
    while pairs := [p for p in itertools.pairwise(parts) if p in RANKS]:
        best = min(pairs, key=RANKS.__getitem__)
        joined: list[str] = []
        for part in parts:
            if joined and (joined[-1], part) == best:
                joined[-1] += part
            else:
                joined.append(part)
        parts = joined
    return [LETTERS[part] for part in parts]


@settings(max_examples=150)
@given(st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=20))
def test_merging_by_definition(word: str) -> None:
    """A word's ids equal those of the merges applied in their order."""
    ids = [i for i in TOKENIZER([word])[0].tolist() if i]
    assert ids[1:-1] == merge_by_definition(word)


@settings(max_examples=150)
@given(st.text(st.characters(exclude_characters="|"), max_size=120))
def test_rows_are_whole(text: str) -> None:
    """Any text becomes start, tokens, one end, and zeros after it; special tokens are excluded."""
    row = TOKENIZER([text])[0]
    last = int((row == TOKENIZER.end).nonzero()[0])
    assert row[0] == TOKENIZER.start
    assert (row[last + 1 :] == 0).all()
    assert row.max() < 49_408


@given(st.lists(st.text(max_size=30), max_size=6))
def test_batch_is_one_by_one(texts: list[str]) -> None:
    """Rows of a batch are independent; an empty batch has no rows."""
    rows_BN = TOKENIZER(texts)
    assert rows_BN.shape == (len(texts), 77)
    assert rows_BN.dtype == torch.int64
    for text, row in zip(texts, rows_BN, strict=True):
        assert torch.equal(TOKENIZER([text])[0], row)


def test_end_is_kept() -> None:
    """A long text loses its last tokens, not its end."""
    row = ClipTokenizer(VOCABULARY.read_bytes(), context=5)(["one two three four five"])[0]
    assert row.tolist() == [49406, *TOKENIZER(["one two three"])[0, 1:4].tolist(), 49407]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  A\tDog \n", "a dog"),
        ("AT&amp;amp;T", "at&t"),
        ("schÃ¶n", "schön"),
        ("l’été", "l'été"),
        ("x\u3000y\x85z", "x y…z"),
    ],
)
def test_cleaning(text: str, expected: str) -> None:
    """White space, doubly escaped HTML, broken encodings, curly quotes and case are normalized."""
    assert clean_text(text) == expected


@given(st.text(st.characters(codec="ascii"), max_size=40))
def test_shortcut_is_exact(text: str) -> None:
    """Texts that skip cleaning are those that it doesn't change."""
    mended = html.unescape(html.unescape(ftfy.fix_text(text)))
    assert clean_text(text) == " ".join(mended.split()).lower()


def test_bad_texts() -> None:
    """Other types, and one str in place of a list, are refused."""
    with pytest.raises(InputError, match="found int"):
        TOKENIZER(["a", 3])  # type: ignore[list-item]
    with pytest.raises(InputError, match="put it in a list"):
        TOKENIZER("a dog")


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        (Path("none.gz"), "can't be read"),
        (b"not gzip", "can't be read"),
        (VOCABULARY.read_bytes()[:5000], "can't be read"),
        (gzip.compress(b"#version\na b\n", mtime=0), "expected 48894 merges, found 1"),
        (gzip.compress(b"\xff\xfe", mtime=0), "can't be read"),
    ],
)
def test_bad_vocabulary(vocabulary: Path | bytes, message: str) -> None:
    """Other files than the list are refused by name."""
    with pytest.raises(CheckpointError, match=message):
        ClipTokenizer(vocabulary)


def test_no_room() -> None:
    """A context of one id is refused."""
    with pytest.raises(ValueError, match="no room"):
        ClipTokenizer(VOCABULARY, context=1)
