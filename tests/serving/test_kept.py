"""Files are kept for a while, within a limit, under ids that tell nothing."""

from __future__ import annotations

import pytest

from openbind.serving.errors import ApiError
from openbind.serving.kept import KeptFiles
from openbind.serving.limits import Limits


def test_equal_files_are_one() -> None:
    """The id is of the content; another service has another."""
    kept, other = (KeptFiles(secret, Limits()) for secret in (b"a", b"b"))
    first = kept.add("a.png", b"content")
    assert kept.add("b.png", b"content").id == first.id
    assert kept.get(first.id).name == "b.png"
    assert other.add("a.png", b"content").id != first.id


def test_those_used_longest_ago_make_room() -> None:
    """One that was asked for stays; too large and empty ones are refused."""
    kept = KeptFiles(b"", Limits(kept_bytes=25))
    ids = [kept.add("x", bytes([n]) * 10).id for n in (1, 2)]
    kept.get(ids[0])
    ids.append(kept.add("x", b"3" * 10).id)
    kept.get(ids[0])
    for gone in (ids[1], "nonsense"):
        with pytest.raises(ApiError) as caught:
            kept.get(gone)
        assert (caught.value.status, caught.value.code) == (404, "file_not_kept")
    for content, status in ((b"", 400), (b"x" * 26, 413)):
        with pytest.raises(ApiError) as caught:
            kept.add("x", content)
        assert caught.value.status == status


def test_old_files_go() -> None:
    """After their time."""
    kept = KeptFiles(b"", Limits(kept_seconds=-1))
    with pytest.raises(ApiError):
        kept.get(kept.add("x", b"content").id)
