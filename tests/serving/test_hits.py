"""A row's file is served only while it is inside the indexed folders, links resolved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from openbind.serving.errors import ApiError
from openbind.serving.hits import find_hit, hit_row, public_path, resolve_path


@pytest.fixture
def hit(index: Any, tmp_path: Path) -> Any:
    """A row of a file in a folder of its own."""
    root = tmp_path / "media"
    root.mkdir()
    (root / "a.png").write_bytes(b"image")
    (tmp_path / "secret.png").write_bytes(b"secret")
    return replace(index.sample(1, 0)[0][0], path=root / "a.png", root=root)


def test_inside(hit: Any, tmp_path: Path) -> None:
    """The file itself, also through a link to its folder or a link inside the folder."""
    assert resolve_path(hit) == hit.path
    (tmp_path / "link").symlink_to(hit.root)
    assert resolve_path(replace(hit, root=tmp_path / "link")) == hit.path
    (hit.root / "b.png").symlink_to(hit.path)
    assert resolve_path(replace(hit, path=hit.root / "b.png")) == hit.path


def test_outside(hit: Any, tmp_path: Path) -> None:
    """Links that lead out, `..`, folders and deleted files get the same error."""
    (hit.root / "out.png").symlink_to(tmp_path / "secret.png")
    (hit.root / "loop.png").symlink_to(hit.root / "loop.png")
    (hit.root / "folder.png").mkdir()
    for name in ("out.png", "../secret.png", "loop.png", "folder.png", "gone.png", "."):
        with pytest.raises(ApiError) as raised:
            resolve_path(replace(hit, path=hit.root / name))
        assert (raised.value.status, raised.value.code) == (404, "file_not_found")
        assert str(tmp_path) not in raised.value.message


def test_rows(hit: Any, index: Any) -> None:
    """Clients see paths that begin with the root's name, nothing above it."""
    assert public_path(hit) == "media/a.png"
    assert public_path(replace(hit, path=Path("/elsewhere/b.png"))) == "b.png"
    row = hit_row(hit)
    assert row.media_type == "image/png"
    assert hit_row(replace(hit, path=hit.root / "a.csv")).media_type is None
    with pytest.raises(ApiError) as raised:
        find_hit(index, "../x")
    assert (raised.value.status, raised.value.code) == (404, "item_not_found")
