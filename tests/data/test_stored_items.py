"""Names of items are the same wherever the data lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from openbind.data.stored_items import anchor_name, make_relative


def test_names_do_not_depend_on_the_spelling(tmp_path: Path, monkeypatch: Any) -> None:
    """A link, an absolute path and a relative one are the same data."""
    data = tmp_path / "d"
    data.mkdir()
    (tmp_path / "e").symlink_to(data)
    monkeypatch.chdir(tmp_path)
    for root in ("d", "./d", "e", str(data), str(tmp_path / "e"), f"{data}/"):
        inside = make_relative(root)
        assert anchor_name(Path(root, "x", "a.png"), None, inside) == "x/a.png"
    assert anchor_name(Path("dd/a.png"), None, make_relative("d")) == "dd/a.png"
    assert anchor_name("d/a.png", None, make_relative("d")) == "d/a.png"  # a text
    monkeypatch.chdir(data)
    assert anchor_name(Path(".", "a.png"), (0.0, 1.0), make_relative(".")) == "a.png@(0.0, 1.0)"
