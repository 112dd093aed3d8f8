"""What files are can be said in one notation, with the settings that they are read with."""

from __future__ import annotations

from typing import Any

import pytest

from openbind.embedding.overrides import TypeOverride, check_overrides, parse_type, read_as
from openbind.errors import ConfigError, InputError


@pytest.mark.parametrize(
    ("notation", "modality", "settings"),
    [
        ("depth", "depth", {}),
        ("depth()", "depth", {}),
        ("depth(units=5000)", "depth", {"units": 5000}),
        (" depth( units = kitti , size=112 ) ", "depth", {"units": "kitti", "size": 112}),
        ("audio(center=false,clips=cover)", "audio", {"center": False, "clips": "cover"}),
    ],
)
def test_notation(notation: str, modality: str, settings: dict[str, Any]) -> None:
    """It is parsed, and written as it is parsed."""
    override = parse_type("*.png", notation)
    assert override == TypeOverride(pattern="*.png", modality=modality, settings=settings)
    assert parse_type("*.png", override.notation) == override


@pytest.mark.parametrize(
    "notation", ["", "depth(", "depth(units)", "depth(=1)", "a b", "depth(a=)"]
)
def test_other_notations(notation: str) -> None:
    """They are refused."""
    with pytest.raises(InputError):
        parse_type("*", notation)


def test_unknown_settings() -> None:
    """A setting that doesn't exist, or a wrong value, is named."""
    check_overrides([parse_type("*", "depth(units=256)")], ["depth"], "starter")
    for notation in ("depth(unit=256)", "depth(units=-1)", "depth(units=furlongs)"):
        with pytest.raises(ConfigError, match="units"):
            check_overrides([parse_type("*", notation)], ["depth"], "starter")
    with pytest.raises(InputError):
        check_overrides([parse_type("*", "depth")], ["image"], "starter")


def test_read_as() -> None:
    """The first pattern that matches counts, then the extension."""
    overrides = [parse_type("tum/*", "depth(units=tum)"), parse_type("*.png", "depth(units=256)")]
    among = ("image", "depth")
    assert read_as("tum/a/1.png", among, overrides) == ("depth", (("units", "tum"),))
    assert read_as("1.png", among, overrides) == ("depth", (("units", 256),))
    assert read_as("1.jpg", among, overrides) == ("image", ())
    assert read_as("1.xyz", among, overrides) == (None, ())
