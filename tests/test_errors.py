"""Errors name the item and the reason; items are described in a few words."""

from __future__ import annotations

import numpy as np
import pytest

from openbind.errors import InputError, MissingExtraError, UnknownNameError, describe


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("dog.jpg", "dog.jpg"),
        (b"12345", "<5 bytes>"),
        (np.zeros((2, 3), np.float32), "<ndarray (2, 3) float32>"),
        ((np.zeros(4), 16000), "(<ndarray (4,) float64>, 16000)"),
        ("x" * 500, "x" * 119 + "…"),
    ],
)
def test_describe(item: object, expected: str) -> None:
    """A path as it is, bytes and arrays by their size, long texts shortened."""
    assert describe(item) == expected


def test_input_error_is_a_value_error() -> None:
    """Callers may catch it as ValueError; it keeps item and reason apart."""
    error = InputError("a.wav", "empty file")
    assert isinstance(error, ValueError)
    assert (error.item, error.reason, str(error)) == ("a.wav", "empty file", "a.wav: empty file")


def test_unknown_name_lists_the_nearest() -> None:
    """A misspelt name is answered with the nearest known one."""
    assert "did you mean 'starter'?" in str(UnknownNameError("space", "startr", ["starter", "x"]))


def test_missing_extra_says_what_to_install() -> None:
    """The message is a command that can be pasted."""
    assert "pip install 'openbind[video]'" in str(MissingExtraError("reading video", "av", "video"))
