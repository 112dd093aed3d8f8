"""One item or several, by what is handed in; what is done with one that fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from openbind.errors import InputError, UnknownNameError
from openbind.modalities import MODALITIES
from openbind.presets import PRESETS
from openbind.space.inputs import is_many, modality_of_tensor, report_error, stack_items


@pytest.mark.parametrize(
    ("modality", "items", "many"),
    [
        ("text", "a dog", False),
        ("text", ["a dog"], True),
        ("text", np.array(["a dog", "a cat"]), True),
        ("image", Path("a.png"), False),
        ("image", b"bytes", False),
        ("image", np.zeros((4, 5, 3)), False),
        ("image", np.zeros((2, 4, 5, 3)), True),
        ("audio", (np.zeros(9), 8000), False),
        ("audio", ((np.zeros(9), 8000),), True),
        ("audio", {"array": np.zeros(9), "sampling_rate": 8000}, False),
        ("depth", np.zeros((48, 64)), False),
        ("depth", np.zeros((5, 48, 64)), True),
        ("depth", iter([]), True),
    ],
)
def test_one_or_several(modality: str, items: Any, many: bool) -> None:
    """As the modality's items are."""
    assert is_many(items, MODALITIES.get(modality)) is many


def test_reports() -> None:
    """Raise, warn or call; anything else is a mistake of the caller."""
    error = InputError("x", "broken")
    with pytest.raises(InputError):
        report_error(0, error, "raise")
    with pytest.warns(UserWarning, match="broken"):
        report_error(0, error, "warn")
    noted = []
    report_error(3, error, lambda index, error: noted.append(index))
    assert noted == [3]
    with pytest.raises(ValueError, match="on_error"):
        report_error(0, error, "ignore")


def test_modality_of_a_tensor() -> None:
    """A tower's name and the number of axes tell which modality is meant."""
    config = PRESETS["tiny"]()
    assert modality_of_tensor(config, "vision", 4) == "image"
    assert modality_of_tensor(config, "video", 6) == "video"
    with pytest.raises(InputError, match="axes"):
        modality_of_tensor(config, "image", 3)
    with pytest.raises(UnknownNameError):
        modality_of_tensor(config, "smell", 4)


def test_stacked_items_have_one_shape() -> None:
    """Items of different numbers of clips can't be stacked."""
    assert stack_items("audio", [torch.zeros(3, 1), torch.zeros(3, 1)]).shape == (2, 3, 1)
    with pytest.raises(InputError, match="different shapes"):
        stack_items("audio", [torch.zeros(3, 1), torch.zeros(2, 1)])
