"""What is known of an item before it is decoded is checked, and what just fits is accepted."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from openbind.errors import LimitError
from openbind.limits import SERVICE
from openbind.serving.limits import Limits, check_item


def table(seconds: float, rows: int = 10) -> bytes:
    times = np.linspace(0, seconds, rows)
    return ("Seconds,a\n" + "".join(f"{t},1\n" for t in times)).encode()


def arrays(values: int) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, a=np.zeros(values))
    return out.getvalue()


@pytest.mark.parametrize(
    ("limits", "accepted", "rejected", "limit"),
    [
        (Limits(characters=5), "abcde", "abcdef", "characters"),
        (Limits(item=SERVICE.changed(seconds=4)), table(4), table(4.5), "seconds"),
        (Limits(item=SERVICE.changed(rows=20)), table(9), table(9, 30), "rows"),
        (Limits(item=SERVICE.changed(bytes=9000)), arrays(1000), arrays(2000), "bytes"),
    ],
)
def test_limits(limits: Limits, accepted: str | bytes, rejected: str | bytes, limit: str) -> None:
    """Text, table, arrays."""
    check_item(accepted, limits)
    with pytest.raises(LimitError) as caught:
        check_item(rejected, limits)
    assert caught.value.limit == limit


@pytest.mark.parametrize("content", [b"", b"x", b"\0" * 50, b"seconds,a\nx,y\n", b"PK\x03\x04..."])
def test_broken_files_are_left_to_decoders(content: bytes) -> None:
    """Decoders know better what is wrong with them."""
    check_item(content, Limits())


def test_real_files_are_accepted(media: Path) -> None:
    """The default limits accept ordinary files."""
    for path in (path for path in media.iterdir() if path.is_file()):
        check_item(path.read_bytes(), Limits())
