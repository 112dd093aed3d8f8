"""Configs narrow to some modalities; mistakes are named by where they are."""

from __future__ import annotations

from typing import Any

import pytest

from openbind.errors import ConfigError
from openbind.presets import PRESETS, imagebind_huge
from openbind.space.config import read_space_config, write_space_config


def test_narrow() -> None:
    """Modalities that share a tower keep it; others' towers go."""
    narrow = imagebind_huge().narrow(["video", "imu"])
    assert list(narrow.modalities) == ["video", "imu"]
    assert list(narrow.towers) == ["vision", "imu"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.pop("towers"), "towers"),
        (lambda v: v["towers"]["imu"]["config"]["trunk"].update(widht=3), "did you mean 'width'"),
        (lambda v: v["modalities"]["imu"].update(tower="imo"), "no tower named 'imo'"),
    ],
)
def test_wrong_configs(change: Any, message: str) -> None:
    """Named by their place."""
    values = write_space_config(PRESETS["tiny"]())
    change(values)
    with pytest.raises(ConfigError, match=message):
        read_space_config(values)
