"""Limits of a service's requests, and what is known of an item before it is decoded."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import Any

from openbind.errors import InputError, LimitError
from openbind.limits import SERVICE, ItemLimits, check_limit
from openbind.media.arrays import NPZ
from openbind.media.image import BROKEN
from openbind.media.series import duration_of

MAX_ITEMS = 2048
"""Items of any list in a request."""
MAX_IMAGES = 8
"""Images of a request."""
MAX_STEPS = 200
"""Steps of each of them."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a service.

    Args:
        body_bytes: size of one request body.
        held_bytes: size of all bodies in progress; beyond it clients get 503.
        body_seconds: wait between two chunks of a body.
        body_rate: bytes a second that a body must keep up after that time.
        json_values: of one body.
        request_seconds: to answer a request; then its work is given up.
        items: of one request: inputs, parts of a query, labels times templates.
        scores: of one classification: inputs times labels.
        characters: of one text.
        item: what decoding one item may take.
        results: of one search.
        depth: of a search: results that are skipped and returned.
        kept_bytes: size of all files that are kept for links to searches.
        kept_seconds: how long they are kept.
        playable_bytes: size of all recordings that are converted for browsers, and of each.
        playable_work_seconds: CPU time to convert one.
        wait_seconds: estimated time of the queued work; beyond it clients get 503.
        decoded_bytes: memory of decoded items that wait for the model; of texts as much again.
        decode_bytes: all memory to decode one item.
        quick_seconds: items that take longer to decode wait for one another, not others for them.
    """

    body_bytes: int = 32 << 20
    held_bytes: int = 256 << 20
    body_seconds: float = 30.0
    body_rate: int = 32 << 10
    json_values: int = 1 << 16
    request_seconds: float = 300.0
    items: int = MAX_ITEMS
    scores: int = 1 << 18
    characters: int = 32_768
    item: ItemLimits = SERVICE
    results: int = 200
    depth: int = 10_000
    kept_bytes: int = 128 << 20
    kept_seconds: float = 86_400.0
    playable_bytes: int = 512 << 20
    playable_work_seconds: float = 240.0
    wait_seconds: float = 20.0
    decoded_bytes: int = 256 << 20
    decode_bytes: int = 1 << 30
    quick_seconds: float = 0.25


def check_item(item: Any, limits: Limits) -> None:
    """Check what is known of an item before it is decoded; its loader checks the rest.

    Args:
        item: a text, or the content of a file of any format.
        limits: the limits.

    Raises:
        LimitError: a limit is exceeded.
    """
    if isinstance(item, str):
        if len(item) > limits.characters:
            shown = f"{len(item):,} characters"
            raise LimitError(item, "characters", limits.characters, len(item), shown)
        return
    with limits.item.applied():
        if item.startswith(NPZ):
            _check_archive(item)
        elif _is_text(item):
            _check_table(item)


def _check_archive(data: bytes) -> None:
    """Check the uncompressed size of a zip file of arrays."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, *BROKEN):
        return
    check_limit("bytes", size, data, f"{size:,} uncompressed bytes")


def _check_table(data: bytes) -> None:
    """Check the rows of a table, and its duration if it has a time column."""
    rows = data.count(b"\n") + data.count(b"\r")
    check_limit("rows", rows, data, f"{rows:,} rows")
    try:
        seconds = duration_of(data)
    except InputError:
        return
    if seconds is not None:
        check_limit("seconds", seconds, data)


def _is_text(data: bytes) -> bool:
    """Return whether a file looks like a table of text by its first bytes."""
    return not any(byte < 9 for byte in data[:512])
