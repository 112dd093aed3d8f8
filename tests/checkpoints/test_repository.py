"""A repository's license is the one in its README's front matter; its id, that of the cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from openbind.checkpoints.repository import read_json, read_license, repository_id
from openbind.errors import CheckpointError


@pytest.mark.parametrize(
    ("text", "license"),
    [
        ("---\nlicense: mit\n---\n# x", "mit"),
        ("---\ntags:\n- a\nlicense: 'cc-by-nc-4.0'\n---\n", "cc-by-nc-4.0"),
        ("---\nlicense: other\nlicense_name: tongyi\n---\n", "tongyi"),
        ("---\nlicense: other\n---\n", "other"),
        ("---\nlicense: [unclosed\n---\n", ""),
        ("# x\nlicense: mit\n", ""),
        ("---\ntags: []\n---\nlicense: mit", ""),
        ("", ""),
    ],
)
def test_license(tmp_path: Path, text: str, license: str) -> None:
    """Only the front matter counts; a malformed one has no license."""
    (tmp_path / "README.md").write_text(text)
    assert read_license(tmp_path) == license


def test_no_readme(tmp_path: Path) -> None:
    """Without a README there is no license."""
    assert read_license(tmp_path) == ""
    assert read_license(None) == ""


def test_repository_id(tmp_path: Path) -> None:
    """Folders of the hub's cache have an id, others none."""
    assert repository_id(tmp_path / "models--org--a-b.c" / "snapshots" / "0123") == "org/a-b.c"
    assert repository_id(tmp_path / "clip") == ""


def test_json(tmp_path: Path) -> None:
    """Anything but an object is an error that names the file."""
    path = tmp_path / "x.json"
    path.write_text('{"a": 1}')
    assert read_json(path) == {"a": 1}
    for text in ("[1]", "{", ""):
        path.write_text(text)
        with pytest.raises(CheckpointError, match=r"x\.json"):
            read_json(path)
    with pytest.raises(CheckpointError, match="no such file"):
        read_json(tmp_path / "y.json")
