"""Names resolve to code that is imported on first use."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import pytest

import openbind.registry
from openbind.errors import UnknownNameError
from openbind.registry import Registry


def test_get_imports_the_attribute() -> None:
    """`get` imports the module and returns the attribute."""
    registry = Registry("thing", "openbind.nothing", {"join": "os.path:join"})
    assert registry.get("join")("a", "b").endswith("b")
    assert registry.names() == ("join",)


def test_unknown_name() -> None:
    """An unknown name's error suggests the nearest."""
    with pytest.raises(UnknownNameError, match=r"no thing named 'jion'; did you mean 'join'"):
        Registry("thing", "openbind.nothing", {"join": "os.path:join"}).get("jion")


def test_entry_points_add_names(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package adds a name with an entry point."""
    folder = tmp_path / "sensor-1.0.dist-info"  # type: ignore[operator]
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: sensor\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[openbind.things]\nradar = os.path:basename\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    scans = []

    def scan(**options: Any) -> Any:
        scans.append(options)
        return importlib.metadata.entry_points(**options)

    monkeypatch.setattr(openbind.registry, "entry_points", scan)
    registry = Registry("thing", "openbind.things", {})
    assert registry.names() == ("radar",)
    assert Registry("other", "openbind.others", {}).names() == ()
    for _ in range(100):
        assert registry.get("radar")("a/b") == "b"
    assert len(scans) == 1, "packages are scanned once, not for each name or registry"
