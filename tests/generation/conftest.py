"""Tiny large decoders of each kind."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from openbind.generation.large import LargeDecoder


@pytest.fixture(scope="session", params=["unclip", "sd", "sdxl"])
def model(
    request: pytest.FixtureRequest,
    tiny_diffusion: ModuleType,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[LargeDecoder, Path]:
    """A tiny decoder of each kind, and its folder."""
    pytest.importorskip("diffusers")
    folder = tmp_path_factory.mktemp("models") / request.param
    return tiny_diffusion.entry_of(request.param), tiny_diffusion.save_model(folder, request.param)
