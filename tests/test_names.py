"""Names from files stay in their folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from openbind.names import inside, plain_name

BAD = [
    "",
    ".",
    "..",
    "../.bashrc",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "C:x",
    "*.json",
    "a\0b",
    "a\nb",
    "\x1b[2J",
    "x" * 256,
    "ü" * 128,
]


@pytest.mark.parametrize("name", BAD)
def test_names_that_lead_elsewhere(tmp_path: Path, name: str) -> None:
    """They are refused whether the file exists or not."""
    with pytest.raises(ValueError, match="name"):
        plain_name(name)
    with pytest.raises(ValueError, match="name"):
        inside(tmp_path, name)


@pytest.mark.parametrize("name", ["a", ".hidden", "vision.safetensors", "größe 1é", "x" * 255])
def test_plain_names(tmp_path: Path, name: str) -> None:
    """Everything else is a name."""
    assert plain_name(name) == name
    assert inside(tmp_path, name) == tmp_path / name


def test_links(tmp_path: Path) -> None:
    """One out of the folder is refused, one within isn't, nor a folder that is a link itself."""
    folder = tmp_path / "space"
    folder.mkdir()
    (tmp_path / "secret").touch()
    (folder / "out").symlink_to(tmp_path / "secret")
    (folder / "own").symlink_to(folder / "a")
    (tmp_path / "link").symlink_to(folder)
    for given in (folder, tmp_path / "link"):
        with pytest.raises(ValueError, match="link out of its folder"):
            inside(given, "out")
        assert inside(given, "own") == given / "own"


def test_the_hubs_cache(tmp_path: Path) -> None:
    """Its files are links to the repository's blobs, and to no others."""
    repository = tmp_path / "models--a--b"
    folder = repository / "snapshots" / "1234"
    folder.mkdir(parents=True)
    (folder / "a").symlink_to("../../blobs/5678")
    (folder / "b").symlink_to("../../refs/main")
    assert inside(folder, "a") == folder / "a"
    with pytest.raises(ValueError, match="link"):
        inside(folder, "b")
