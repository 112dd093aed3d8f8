"""Files located: tracks of videos, drawings, values for JSON."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import openbind
from openbind.errors import InputError
from openbind.evaluation.held_out import held_out_folder
from openbind.search.locating import locate_file


def test_depth_by_its_modality(tmp_path: Path) -> None:
    """A file whose extension says nothing needs a modality; the drawing has the map's shape."""
    space = openbind.load("starter", modalities=["depth", "text"])
    path = tmp_path / "room.npy"
    np.save(path, np.linspace(0.8, 4, 90 * 160, dtype=np.float32).reshape(90, 160))
    query = space.encode("text", ["a kitchen"])[0]
    with pytest.raises(InputError, match="extension"):
        locate_file(space, path, query)
    found = locate_file(space, path, query, "depth")
    assert found.plain()["width"] == 160
    assert found.draw().size == (160, 90)


def test_sound_has_a_curve() -> None:
    """Without frames there is no map."""
    space = openbind.load("starter", modalities=["audio", "text"])
    path = held_out_folder() / "single_things" / "080-dog.ogg"
    found = locate_file(space, path, space.encode("text", ["a dog"])[0])
    assert found.where is None
    assert "where" not in found.plain()
    assert found.tracks[0].moments
