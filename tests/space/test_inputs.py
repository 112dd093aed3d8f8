"""One item or several, by what is handed in; what is done with one that fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openbind.errors import InputError
from openbind.modalities import MODALITIES
from openbind.space.inputs import is_many, report_error


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
