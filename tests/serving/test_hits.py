"""A row's file is served only while it is inside the indexed folders, links resolved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from openbind.serving.errors import ApiError
from openbind.serving.hits import (
    SECRET,
    PublicIds,
    find_hit,
    hit_row,
    leads_out,
    public_path,
    read_secret,
    resolve_path,
)

IDS = PublicIds(b"secret")


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
    row = hit_row(hit, IDS)
    assert row.media_type == "image/png"
    assert hit_row(replace(hit, path=hit.root / "a.csv"), IDS).media_type is None
    with pytest.raises(ApiError) as raised:
        find_hit(index, IDS, "../x")
    assert (raised.value.status, raised.value.code) == (404, "item_not_found")


def test_links_out(hit: Any, tmp_path: Path) -> None:
    """A file that is gone is where it was; a link out, or in a circle, leads out."""
    (hit.root / "out.png").symlink_to(tmp_path / "secret.png")
    (hit.root / "loop.png").symlink_to(hit.root / "loop.png")
    (hit.root / "in.png").symlink_to(hit.path)
    expected = {"out.png": True, "in.png": False, "a.png": False, "gone.png": False}
    found = {name: leads_out(replace(hit, path=hit.root / name)) for name in expected}
    assert found == expected
    leads_out(replace(hit, path=hit.root / "loop.png"))  # whichever, but an answer


def test_ids_are_signed(hit: Any, index: Any) -> None:
    """Nobody can make one from a path; another index has other signatures."""
    public_id = IDS.public(hit.id)
    assert IDS.row(public_id) == hit.id
    assert find_hit(index, IDS, public_id).id == hit.id
    other = PublicIds(b"another").public(hit.id)
    for wrong in (
        hit.id,
        f"{hit.id}-",
        f"{hit.id}-{'0' * 24}",
        other,
        "",
        "-",
        "ü-ü",
        public_id[1:],
    ):
        with pytest.raises(ApiError) as raised:
            find_hit(index, IDS, wrong)
        assert (raised.value.status, raised.value.code) == (404, "item_not_found")


def test_the_secret_of_an_index(tmp_path: Path) -> None:
    """Made once, for its owner alone; a folder that can't be written has one for a while."""
    first = read_secret(tmp_path)
    assert read_secret(tmp_path) == first
    assert (tmp_path / SECRET).stat().st_mode & 0o777 == 0o600
    assert read_secret(tmp_path / "missing") != read_secret(tmp_path / "missing")
    (tmp_path / SECRET).write_bytes(b"short")
    assert len(read_secret(tmp_path)) == len(first)
