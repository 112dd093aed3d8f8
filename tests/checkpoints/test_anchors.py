"""Named models of others: permissive, pinned to a commit, and none that hides a name of ours."""

from __future__ import annotations

import re

import pytest

import openbind
from openbind.catalog import ENTRIES, find
from openbind.checkpoints.anchors import ANCHORS
from openbind.errors import CheckpointError, UnknownNameError
from openbind.modalities import MODALITIES
from openbind.space.card import is_permissive


@pytest.mark.parametrize("name", ANCHORS)
def test_entries(name: str) -> None:
    """Each has a commit of 40 digits, a permissive license and known modalities."""
    anchor = ANCHORS[name]
    assert anchor.name == name
    assert name not in ENTRIES
    assert re.fullmatch(r"(hf|st):[\w-]+/[\w.-]+@[0-9a-f]{40}", anchor.reference)
    assert is_permissive(anchor.license)
    assert set(anchor.modalities) <= set(MODALITIES.table)


def test_names_are_known() -> None:
    """A misspelt name is told the nearest; a reference has no file to find."""
    with pytest.raises(UnknownNameError) as caught:
        openbind.load("siglip2-bse")
    assert "siglip2-base" in str(caught.value)
    with pytest.raises(CheckpointError, match="reference"):
        find("clap-small")
