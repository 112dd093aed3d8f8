"""What clients write for an item, a text or a data URL, and the parts of OpenAI's messages."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from openbind.errors import InputError
from openbind.modalities import TEXT
from openbind.search.query import Term
from openbind.serving.schemas import ContentPart, Message

Payload = str | bytes
"""A text, or the bytes of a file."""


def read_payload(modality: str, given: str, name: str) -> Payload:
    """Take a client's item: words as they are, everything else as a data URL.

    Args:
        modality: what it is read as.
        given: from the request.
        name: of its place in the request, for errors.

    Raises:
        InputError: no data URL, or one that is broken; addresses and paths are never followed.
    """
    if modality == TEXT:
        if not given.strip():
            raise InputError(name, "an empty text has nothing to embed")
        return given
    return read_data_url(given, name)


def read_data_url(given: str, name: str) -> bytes:
    """Read the bytes of `data:image/png;base64,…` (RFC 2397); the media type says nothing here.

    Raises:
        InputError: no data URL, not base64, or empty.
    """
    head, comma, content = given.partition(",")
    if not head[:5].lower() == "data:":
        raise InputError(
            name,
            "expected a data URL, as in data:image/png;base64,…; this service fetches no "
            "addresses and opens no paths that clients name",
        )
    if not comma or not head.lower().endswith(";base64"):
        raise InputError(name, "expected base64 in the data URL, as in data:image/png;base64,…")
    return read_base64(content, name)


def read_base64(content: str, name: str) -> bytes:
    """Read base64.

    Raises:
        InputError: not base64, or empty.
    """
    try:
        data = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(name, f"not valid base64 ({error})") from error
    if not data:
        raise InputError(name, "empty: no bytes")
    return data


def message_parts(messages: Sequence[Message], modalities: Sequence[str]) -> list[Term]:
    """Collect the content parts of messages, in their order.

    A part is `{"type": "text", "text": …}`, `{"type": "X_url", "X_url": {"url": …}}` for any
    modality X, or OpenAI's `{"type": "input_X", "input_X": {"data": …}}`; each may have a `weight`.

    Raises:
        InputError: a part of no known type, or without its content.
    """
    parts = []
    for at, message in enumerate(messages):
        contents = message.content
        if isinstance(contents, str):
            contents = [ContentPart(type=TEXT, text=contents)]
        for place, part in enumerate(contents):
            name = f"messages[{at}].content[{place}]"
            parts.append(_read_part(part, modalities, name))
    return parts


def _read_part(part: ContentPart, modalities: Sequence[str], name: str) -> Term:
    if part.type == TEXT:
        if part.text is None:
            raise InputError(name, f"expected the key {TEXT!r}")
        return Term(TEXT, read_payload(TEXT, part.text, name), part.weight)
    modality = part.type.removesuffix("_url").removeprefix("input_")
    known = [TEXT, *(f"{each}_url" for each in modalities if each != TEXT)]
    if part.type == modality or modality not in modalities or modality == TEXT:
        raise InputError(name, f"no content of type {part.type!r}; known: {', '.join(known)}")
    content = (part.model_extra or {}).get(part.type)
    key = "url" if part.type.endswith("_url") else "data"
    value = content.get(key) if isinstance(content, dict) else content
    if not isinstance(value, str):
        raise InputError(name, f"expected {{{part.type!r}: {{{key!r}: …}}}}")
    item = read_data_url(value, name) if key == "url" else read_base64(value, name)
    return Term(modality, item, part.weight)
