"""Text: labels, captions, queries.

Input   str.
Tensor  ids_BN int64, padded with 0 to the context; the tower drops columns of padding only. For
        towers that have a tokenizer of their own the UTF-8 bytes, as uint8.
Tower   reads the end-of-text token (CLIP) or the mean over tokens (sentence encoders).
Scale   100 in the released ImageBind, exp of a learned value (paper, section 3; spec 1.5).
Source  CLIP's byte-level BPE (MIT); other vocabularies travel as `tokenizer.json` of the
        tokenizers library in the checkpoint's folder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from openbind.configs import Range, Width
from openbind.errors import CheckpointError, InputError, first_line
from openbind.modalities.spec import (
    ArraySample,
    Modality,
    Preprocess,
    PreprocessArrays,
    Sample,
)
from openbind.names import inside
from openbind.signal.bpe import ClipTokenizer

CLIP = "clip"
"""Name of the built-in vocabulary."""
BYTES = "utf-8"
"""Instead of a vocabulary: the bytes of a text, for towers that have a tokenizer of their own."""
VOCABULARY = Path(__file__).parents[1] / "assets" / "clip_bpe" / "bpe_simple_vocab_16e6.txt.gz"


CHARACTERS_PER_TOKEN = 16
"""Of a longer text the beginning is tokenized, which usually fills the context."""


@dataclass(frozen=True, kw_only=True)
class TextSettings:
    """Everything that decides the token ids of a text.

    Args:
        tokenizer: "clip", "utf-8" for the text's bytes, or a file in the checkpoint's folder in the
            format of the `tokenizers` library.
        context: most ids of a text; longer texts are truncated, keeping the last special token.
        pad: id of padding.
        lower: convert to lower case first; CLIP's tokenizer always does.
    """

    tokenizer: str = CLIP
    context: Width = 77
    pad: Annotated[int, Range(0, 10_000_000)] = 0
    lower: bool = False


def prepare(settings: TextSettings, folder: Path | None) -> Preprocess:
    """Load the vocabulary and return the function from a str to its ids (1, context)."""
    read = prepare_arrays(settings, folder)

    def preprocess(item: Any) -> Sample:
        return read(item).to_sample()

    return preprocess


def prepare_arrays(settings: TextSettings, folder: Path | None) -> PreprocessArrays:
    """Load the vocabulary and return the function of `prepare` for NumPy arrays."""
    if settings.tokenizer == CLIP:
        tokenizer = ClipTokenizer(VOCABULARY, settings.context)
        return lambda item: ArraySample(tokenizer.ids([check_text(item)]))
    if settings.tokenizer == BYTES:
        return lambda item: ArraySample(_to_bytes(check_text(item), settings.context))

    try:
        path = inside(folder or Path(), settings.tokenizer)
    except ValueError as error:
        raise CheckpointError(folder, str(error)) from error
    encode = _read_tokenizer(path, settings.context)

    def preprocess(item: Any) -> ArraySample:
        ids = np.full((1, settings.context), settings.pad, np.int64)
        text = check_text(item)
        encoded = _encode_beginning(encode, text.lower() if settings.lower else text, settings)
        ids[0, : len(encoded)] = encoded
        return ArraySample(ids)

    return preprocess


def _to_bytes(text: str, context: int) -> np.ndarray:
    """Return the bytes of a text (1, context), padded with 0, which no text has."""
    data = text.replace("\0", " ").encode()[:context]
    return np.frombuffer(bytearray(data.ljust(context, b"\0")), np.uint8)[None]


def _encode_beginning(
    encode: Callable[[str], list[int]], text: str, settings: TextSettings
) -> list[int]:
    """Return the ids of a text, from as much of it as fills the context: pages take seconds."""
    beginning = text[: CHARACTERS_PER_TOKEN * settings.context]
    if len(beginning) < len(text):
        cut = max(beginning.rfind(" "), beginning.rfind("\n"))
        encoded = encode(beginning[: max(cut, 0)])
        # Less than a context came of it: long words, or characters that aren't tokens.
        if len(encoded) == settings.context:
            return encoded
    return encode(text)


def _read_tokenizer(path: Path, context: int) -> Callable[[str], list[int]]:
    from tokenizers import Tokenizer

    if not path.is_file():
        raise CheckpointError(path, "no such file; expected the space's vocabulary")
    try:
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_padding()
        tokenizer.enable_truncation(context)
    except Exception as error:  # the library raises nothing narrower
        raise CheckpointError(path, f"not a vocabulary: {first_line(error)}") from error
    return lambda text: list(tokenizer.encode(text).ids)


def check_text(item: Any) -> str:
    """Return the text.

    Raises:
        InputError: not a str, or only white space.
    """
    if not isinstance(item, str):
        raise InputError(item, f"expected a str, found {type(item).__name__}")
    if not item.strip():
        raise InputError(repr(item), "empty text")
    if not item.isascii() and any("\ud800" <= character <= "\udfff" for character in item):
        raise InputError(ascii(item), "not valid Unicode: it has bytes that are not UTF-8")
    return item


MODALITY = Modality(
    name="text",
    accepts="a str",
    settings=TextSettings,
    prepare=prepare,
    clip_dims=1,
    has_clips=False,
    tower="text",
    scale=100.0,
    files=lambda settings: () if settings.tokenizer in (CLIP, BYTES) else (settings.tokenizer,),
    prepare_arrays=prepare_arrays,
)
