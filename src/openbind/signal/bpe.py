"""CLIP's byte-level BPE: texts → token ids (Radford et al. 2021, section 2.4; spec 3.4).

The vocabulary is 256 bytes, the same 256 at ends of words, 48,894 merges of the published list,
and the special tokens for start and end: 49,408 ids. The `tokenizers` library applies the merges.
"""

from __future__ import annotations

import gzip
import html
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from openbind.errors import CheckpointError, InputError

if TYPE_CHECKING:
    import torch

MERGES = 48_894
"""Merges used, of the 262,144 in the published list (spec 3.4)."""
START_TEXT, END_TEXT = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"
TEXT = (
    rf"{re.escape(START_TEXT)}|{re.escape(END_TEXT)}"
    r"|(?i:'s|'t|'re|'ve|'m|'ll|'d)|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
)
"""CLIP's published pattern of words, in the syntax of Oniguruma."""
PLAIN = re.compile(r"[\t\n\r -%'-~]*")
"""Texts that cleaning doesn't change: printable ASCII without "&"."""


class ClipTokenizer:
    """CLIP's tokenizer.

    Args:
        vocabulary: list of merges as published (`bpe_simple_vocab_16e6.txt.gz`), path or
            bytes.
        context: ids per row; 77 in all CLIP models.

    Raises:
        CheckpointError: the vocabulary is missing, or another file.
        ValueError: a context without room for start and end.
    """

    def __init__(self, vocabulary: str | Path | bytes, context: int = 77) -> None:
        from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers

        if context < 2:
            raise ValueError(f"a context of {context} has no room for start and end")
        merges = _read_merges(vocabulary)
        ids = _number_tokens(merges)
        model = models.BPE(vocab=ids, merges=merges, end_of_word_suffix=WORD_END)
        self._tokenizer = Tokenizer(model)
        self._tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(TEXT), "removed", invert=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        # As in CLIP, special tokens are recognized in texts.
        self._tokenizer.add_special_tokens([AddedToken(START_TEXT), AddedToken(END_TEXT)])
        self.start, self.end = ids[START_TEXT], ids[END_TEXT]
        self.context = context

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """Tokenize texts; returns the tensor of what `ids` returns.

        Raises:
            InputError: one of the texts isn't a str.
        """
        import torch

        return torch.from_numpy(self.ids(texts))

    def ids(self, texts: Sequence[str]) -> np.ndarray:
        """Tokenize texts without importing PyTorch.

        Returns:
            ids_BN int64, N the context: start, tokens, end, zeros. Long texts are truncated
            before the end token, which the tower pools.

        Raises:
            InputError: one of the texts isn't a str.
        """
        if isinstance(texts, str):
            raise InputError(texts, "expected a list of texts, found one str: put it in a list")
        cleaned = [clean_text(text) for text in texts]
        room = self.context - 2
        rows = [
            [self.start, *encoding.ids[:room], self.end, *[0] * (room - len(encoding.ids))]
            for encoding in self._tokenizer.encode_batch_fast(cleaned, add_special_tokens=False)
        ]
        # NumPy converts lists of numbers many times faster than PyTorch.
        return np.array(rows, dtype=np.int64).reshape(len(rows), self.context)


def clean_text(text: str) -> str:
    """Fix broken Unicode, unescape HTML twice, collapse white space, lower the case (spec 3.4).

    Raises:
        InputError: not a str.
    """
    if not isinstance(text, str):
        raise InputError(text, f"expected a str, found {type(text).__name__}")
    if PLAIN.fullmatch(text) is None:
        import ftfy

        text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return " ".join(text.split()).lower()


def _read_merges(vocabulary: str | Path | bytes) -> list[tuple[str, str]]:
    name = "<vocabulary>" if isinstance(vocabulary, bytes) else vocabulary
    try:
        data = vocabulary if isinstance(vocabulary, bytes) else Path(vocabulary).read_bytes()
        lines = gzip.decompress(data).decode("utf-8").split("\n")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise CheckpointError(name, f"can't be read as CLIP's list of merges ({error})") from error
    # The first line names the version.
    pairs = [tuple(line.split()) for line in lines[1 : MERGES + 1]]
    merges = [(pair[0], pair[1]) for pair in pairs if len(pair) == 2]
    if len(merges) < MERGES:
        raise CheckpointError(name, f"expected {MERGES} merges, found {len(merges)}")
    return merges


def _number_tokens(merges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Number the tokens as CLIP does: bytes, bytes at ends of words, merges, special tokens."""
    letters = _byte_letters()
    tokens = letters + [letter + WORD_END for letter in letters]
    tokens += [first + second for first, second in merges]
    return {token: number for number, token in enumerate([*tokens, START_TEXT, END_TEXT])}


def _byte_letters() -> list[str]:
    """Return one printable letter per byte, in GPT-2's order: printable bytes first."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + rank) for rank in range(len(others))]
