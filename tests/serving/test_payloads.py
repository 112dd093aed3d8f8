"""Data URLs and content parts; nothing in a request makes the service open a file or a URL."""

from __future__ import annotations

import pytest

from openbind.errors import InputError
from openbind.search.query import Term
from openbind.serving.payloads import message_terms, read_data_url, read_payload
from openbind.serving.schemas import Message

MODALITIES = ["text", "image", "audio", "imu"]


@pytest.mark.parametrize(
    "given",
    ["data:image/png;base64,YWI=", "data:;base64,YWI=", "DATA:a/b;codecs=opus;BASE64,YWI="],
)
def test_data_urls(given: str) -> None:
    """RFC 2397, with any media type."""
    assert read_data_url(given, "x") == b"ab"


@pytest.mark.parametrize(
    "given",
    ["", "data:", "data:,YWI=", "YWI=", "/etc/passwd", "file:///x", "http://x/,;base64,YWI=",
     "data:;base64,Y W I", "data:;base64,é", "data:;base64,YWI", "data:;base64,"],
)  # fmt: skip
def test_other_urls(given: str) -> None:
    """URLs, paths, other encodings and invalid base64 are rejected; the error names the field."""
    with pytest.raises(InputError) as raised:
        read_data_url(given, "input[3]")
    assert raised.value.item == "input[3]"


def test_texts() -> None:
    """Text is unchanged, even if it looks like a data URL; empty text is rejected."""
    assert read_payload("text", "data:;base64,YWI=", "x") == "data:;base64,YWI="
    with pytest.raises(InputError):
        read_payload("text", " \n", "x")


def test_content_parts() -> None:
    """Strings, texts, data URLs of any modality, and OpenAI's input_audio, in their order."""
    messages = [
        Message.model_validate(each)
        for each in (
            {"role": "system", "content": "find"},
            {
                "content": [
                    {"type": "text", "text": "a dog", "weight": 2},
                    {"type": "imu_url", "imu_url": {"url": "data:;base64,YWI="}},
                    {"type": "image_url", "image_url": "data:;base64,YWI=", "weight": -1},
                    {"type": "input_audio", "input_audio": {"data": "YWI=", "format": "wav"}},
                ]
            },
        )
    ]
    assert message_terms(messages, MODALITIES) == [
        Term("text", "find"),
        Term("text", "a dog", 2),
        Term("imu", b"ab"),
        Term("image", b"ab", -1),
        Term("audio", b"ab"),
    ]


@pytest.mark.parametrize(
    "part",
    [{"type": "image"}, {"type": "text_url", "text_url": {"url": "data:;base64,YWI="}},
     {"type": "smell_url"}, {"type": "image_url", "image_url": {"url": 5}},
     {"type": "image_url", "image_url": {"url": "http://x"}}, {"type": "text"}],
)  # fmt: skip
def test_wrong_parts(part: dict[str, object]) -> None:
    """The error names the part."""
    message = Message.model_validate({"content": [{"type": "text", "text": "a"}, part]})
    with pytest.raises(InputError) as raised:
        message_terms([message], MODALITIES)
    assert raised.value.item == "messages[0].content[1]"
