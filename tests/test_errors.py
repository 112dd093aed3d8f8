"""Errors name the item and the reason, and survive pickling; items have short names."""

from __future__ import annotations

import copy
import importlib
import inspect
import multiprocessing
import pickle
import pkgutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

import openbind
from openbind.cli.convert import parse_hints
from openbind.errors import (
    InputError,
    MissingExtraError,
    OpenbindError,
    UnknownNameError,
    describe,
    first_line,
    shorten,
)
from openbind.registry import Registry


def all_errors() -> list[type[OpenbindError]]:
    """Return `OpenbindError` and all its subclasses in the package."""
    for module in pkgutil.walk_packages(openbind.__path__, "openbind."):
        if not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except ImportError:  # an extra that isn't installed
                continue

    def walk(kind: type[OpenbindError]) -> Iterator[type[OpenbindError]]:
        yield kind
        for child in kind.__subclasses__():
            if child.__module__.startswith("openbind."):
                yield from walk(child)

    return list(dict.fromkeys(walk(OpenbindError)))


def make_error(kind: type[OpenbindError]) -> OpenbindError:
    """Construct an error; required arguments are 3 for numbers, else their parameter's name."""
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    values = [
        3 if parameter.annotation in ("int", "float") else parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    ]
    return kind(*values)


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
def test_errors_survive_pickling(kind: type[OpenbindError]) -> None:
    """Type, message, attributes and notes are equal after pickling and copying."""
    error = make_error(kind)
    error.__dict__["extra_fact"] = 7
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is kind
        assert (str(other), other.args, vars(other)) == (str(error), error.args, vars(error))
        assert getattr(other, "name", None) == getattr(error, "name", None)


def test_errors_cross_processes() -> None:
    """A process pool raises the error that the worker raised."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        with pytest.raises(InputError) as bad_input:
            pool.submit(parse_hints, ["activation"]).result()
        with pytest.raises(UnknownNameError) as unknown:
            pool.submit(Registry("thing", "openbind.nothing", {"a": "b:c"}).get, "x").result()
    assert "activation" in bad_input.value.item
    assert (unknown.value.kind, unknown.value.name, unknown.value.known) == ("thing", "x", ("a",))


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
    """Paths are unchanged, bytes and arrays shown by size, long texts shortened."""
    assert describe(item) == expected


def test_input_error_is_a_value_error() -> None:
    """Callers may catch it as ValueError; it keeps item and reason apart."""
    error = InputError("a.wav", "empty file")
    assert isinstance(error, ValueError)
    assert (error.item, error.reason, str(error)) == ("a.wav", "empty file", "a.wav: empty file")


def test_unknown_name_lists_the_nearest() -> None:
    """The message suggests the nearest known name; attributes hold all of them."""
    error = UnknownNameError("space", "startr", ["x", "starter"], hint="or a path")
    assert (error.kind, error.name, error.known) == ("space", "startr", ("starter", "x"))
    assert "did you mean 'starter'?" in str(error)
    assert str(error).endswith("or a path")


def test_missing_extra_says_what_to_install() -> None:
    """The message is a command to paste; the missing package is `ImportError.name`."""
    error = MissingExtraError("reading video", "av", "video")
    assert "pip install 'openbind[video]'" in str(error)
    assert (error.purpose, error.package, error.extra, error.name) == (
        "reading video",
        "av",
        "video",
        "av",
    )


def test_shortened_values_and_messages() -> None:
    """Only the beginning of a value is visited, only the first line of a message is kept."""
    nested: list[object] = [1]
    for _ in range(60):
        nested = [nested] * 9
    assert len(shorten(nested)) <= 200
    assert shorten("x" * 10**6).startswith("'xxx")
    assert (shorten(3), shorten([1, None])) == ("3", "[1, None]")
    assert first_line(ValueError("\na\nb")) == "a"
    assert first_line(KeyError()) == "KeyError"
    assert len(first_line(ValueError("x" * 10**6))) <= 300
    assert len(str(UnknownNameError("model", "x" * 10**6, ["a"]))) < 300
