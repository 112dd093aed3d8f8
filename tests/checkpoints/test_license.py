"""The license is what a README's front matter says, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from openbind.checkpoints.license import read_license


@pytest.mark.parametrize(
    ("text", "license"),
    [
        ("---\nlicense: mit\n---\n# x", "mit"),
        ("---\ntags:\n- a\nlicense: 'cc-by-nc-4.0'\n---\n", "cc-by-nc-4.0"),
        ("# x\nlicense: mit\n", ""),
        ("---\ntags: []\n---\nlicense: mit", ""),
        ("", ""),
    ],
)
def test_license(tmp_path: Path, text: str, license: str) -> None:
    """Only the front matter counts."""
    (tmp_path / "README.md").write_text(text)
    assert read_license(tmp_path) == license


def test_no_readme(tmp_path: Path) -> None:
    """Nothing is made up."""
    assert read_license(tmp_path) == ""
    assert read_license(None) == ""
