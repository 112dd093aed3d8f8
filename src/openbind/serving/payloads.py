"""Items in requests: texts, data URLs, and the content parts of OpenAI's messages."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from functools import partial
from typing import Any

from openbind.errors import InputError
from openbind.modalities import TEXT
from openbind.search.query import Term
from openbind.serving.schemas import ContentPart, Message

PIECE = 1 << 20
"""Characters of base64 that are decoded at once; a multiple of four."""
Payload = str | bytes
"""A text, or the content of a file."""


def read_payload(modality: str, given: Any, name: str) -> Payload:
    """Return an item of a request: text unchanged, any other modality from a data URL.

    Args:
        modality: of the item.
        given: the value in the request.
        name: of its field in the request, for errors.

    Raises:
        InputError: no string, an empty text, or not a valid data URL; URLs and paths are never
            opened.
    """
    if isinstance(given, int | list):
        reason = (
            "token ids are not supported, since vocabularies differ; send the text itself "
            "(LangChain: check_embedding_ctx_length=False)"
        )
        raise InputError(name, reason)
    if not isinstance(given, str):
        raise InputError(name, f"expected a string, found {type(given).__name__}")
    if modality == TEXT:
        if not given.strip():
            raise InputError(name, "empty text")
        return given
    return read_data_url(given, name)


def read_data_url(given: str, name: str) -> bytes:
    """Decode `data:image/png;base64,…` (RFC 2397); the media type is ignored.

    Raises:
        InputError: not a data URL, not base64, or empty.
    """
    head, comma, content = given.partition(",")
    if not head[:5].lower() == "data:":
        raise InputError(
            name, "expected a data URL (data:image/png;base64,…); URLs and paths are not opened"
        )
    if not comma or not head.lower().endswith(";base64"):
        raise InputError(name, "expected a base64 data URL (data:image/png;base64,…)")
    return read_base64(content, name)


def read_base64(content: str, name: str) -> bytes:
    """Decode base64.

    Raises:
        InputError: not base64, or empty.
    """
    try:
        if content.find("=", 0, len(content) - 2) >= 0:
            raise ValueError("padding before the end")
        # In pieces, between which other threads go on.
        pieces = range(0, len(content), PIECE)
        decode = partial(base64.b64decode, validate=True)
        data = b"".join(decode(content[at : at + PIECE]) for at in pieces)
    except (binascii.Error, ValueError) as error:
        raise InputError(name, f"invalid base64 ({error})") from error
    if not data:
        raise InputError(name, "empty: zero bytes")
    return data


def message_terms(
    messages: Sequence[Message], modalities: Sequence[str], name: str = "messages"
) -> list[Term]:
    """Return the content parts of messages, in their order.

    A part is `{"type": "text", "text": …}`, `{"type": "X_url", "X_url": {"url": …}}` for any
    modality X, or OpenAI's `{"type": "input_X", "input_X": {"data": …}}`; each may have a `weight`.

    Args:
        messages: of a request.
        modalities: that the space has.
        name: of their list in the request, for errors.

    Raises:
        InputError: a part of an unknown type, or without its content.
    """
    terms = []
    for at, message in enumerate(messages):
        contents = message.content
        if isinstance(contents, str):
            contents = [ContentPart(type=TEXT, text=contents)]
        for position, part in enumerate(contents):
            terms.append(_read_part(part, modalities, f"{name}[{at}].content[{position}]"))
    return terms


def _read_part(part: ContentPart, modalities: Sequence[str], name: str) -> Term:
    if part.type == TEXT:
        if part.text is None:
            raise InputError(name, f"expected the key {TEXT!r}")
        return Term(TEXT, read_payload(TEXT, part.text, name), part.weight)
    modality = part.type.removesuffix("_url").removeprefix("input_")
    known = [TEXT, *(f"{each}_url" for each in modalities if each != TEXT)]
    if part.type == modality or modality not in modalities or modality == TEXT:
        raise InputError(name, f"unknown content type {part.type!r}; known: {', '.join(known)}")
    content = (part.model_extra or {}).get(part.type)
    key = "url" if part.type.endswith("_url") else "data"
    value = content.get(key) if isinstance(content, dict) else content
    if not isinstance(value, str):
        raise InputError(name, f"expected {{{part.type!r}: {{{key!r}: …}}}}")
    item = read_data_url(value, name) if key == "url" else read_base64(value, name)
    return Term(modality, item, part.weight)
