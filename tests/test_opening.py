"""`openbind.load` is the catalog's, unless a runtime is named."""

from __future__ import annotations

import inspect

import openbind
from openbind import catalog, opening
from openbind.space.space import Space


def test_load_without_a_runtime_is_the_catalogs() -> None:
    space = openbind.load("tiny", weights="random", modalities=["imu"], device="cpu")
    assert isinstance(space, Space)
    assert space.modalities == ("imu",)


def test_arguments_are_the_catalogs() -> None:
    """Every one is documented here, too."""
    documented = opening.load.__doc__ or ""
    assert all(name in documented for name in inspect.signature(catalog.load).parameters)
