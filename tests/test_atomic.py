"""A file is complete or absent; no temporary files remain."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from openbind.atomic import atomic_path


def test_becomes_the_target(tmp_path: Path) -> None:
    """After the block the file has its name, content and ordinary permissions."""
    target = tmp_path / "new" / "out.txt"
    with atomic_path(target) as temporary:
        assert not target.exists()
        temporary.write_text("whole")
    assert target.read_text() == "whole"
    assert os.listdir(target.parent) == ["out.txt"]
    plain = tmp_path / "plain"
    plain.touch()
    assert target.stat().st_mode == plain.stat().st_mode


def test_failure_leaves_the_old_file(tmp_path: Path) -> None:
    """If the block raises, an existing file is unchanged and the temporary one removed."""
    target = tmp_path / "out.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError, match="half"), atomic_path(target) as temporary:
        temporary.write_text("ne")
        raise RuntimeError("half")
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.txt"]
