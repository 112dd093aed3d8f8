"""A table has the same numbers in any format; other files are refused."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from openbind.errors import InputError, LimitError
from openbind.limits import LIBRARY
from openbind.media.tables import read_table

VALUES_TC = np.array([[1.5, -2.0, 3.25], [4.0, 5.5, -6e-3]])


def saved(array: np.ndarray, **arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    if arrays:
        np.savez(buffer, array, **arrays)
    else:
        np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("1.5,-2,3.25\n4,5.5,-6e-3\n", None),
        ("\ufeff# a comment\nax, ay, az\n1.5, -2, 3.25\n\n4, 5.5, -6e-3", ("ax", "ay", "az")),
        ('"ax"\t"ay"\t"az"\r\n1.5\t-2\t3.25\r\n4\t5.5\t-6e-3\r\n', ("ax", "ay", "az")),
        ("ax;ay;az\n1,5;-2;3,25\n4;5,5;-0,006\n", ("ax", "ay", "az")),
        ("1.5 -2  3.25\n4 5.5 -6e-3\n", None),
        ('"1.5","-2","3.25"\n"4","5.5","-0.006"\n', None),
    ],
)
def test_csv(text: str, columns: tuple[str, ...] | None, tmp_path: Path) -> None:
    """Separators, names, comments, quotes, decimal commas; a path is its bytes."""
    path = tmp_path / "motion.csv"
    path.write_bytes(text.encode())
    for source in (path, path.read_bytes()):
        table = read_table(source)
        assert table.columns == columns
        assert table.values_TC.dtype == np.float64
        np.testing.assert_array_equal(table.values_TC, VALUES_TC)


def test_arrays_agree() -> None:
    """Arrays, tensors, npy and npz; float32 stays, integers become float64."""
    for source in (VALUES_TC, torch.from_numpy(VALUES_TC), saved(VALUES_TC)):
        np.testing.assert_array_equal(read_table(source).values_TC, VALUES_TC)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, motion=VALUES_TC)
    np.testing.assert_array_equal(read_table(buffer.getvalue()).values_TC, VALUES_TC)
    assert read_table(VALUES_TC.astype(np.float32)).values_TC.dtype == np.float32
    assert read_table(np.arange(6).reshape(3, 2)).values_TC.dtype == np.float64
    assert read_table(np.arange(6)).values_TC.shape == (6, 1)


def test_missing_values_are_nan() -> None:
    """Empty cells and "nan", at the start, inside and at the end of a row."""
    table = read_table(b"a,b,c\n,2,3\n1,,3\n1,2,\nnan,2,3\n")
    expected = [[np.nan, 2, 3], [1, np.nan, 3], [1, 2, np.nan], [np.nan, 2, 3]]
    np.testing.assert_array_equal(table.values_TC, expected)


@given(
    hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=8),
        elements=st.floats(allow_infinity=False, width=64),
    ),
    st.sampled_from(",;\t "),
)
def test_written_is_read(values_TC: np.ndarray, separator: str) -> None:
    """Any numbers are read exactly, also NaN."""
    text = "\n".join(separator.join(repr(float(cell)) for cell in row) for row in values_TC)
    np.testing.assert_array_equal(read_table(text.encode()).values_TC, values_TC)


@given(st.binary(min_size=1, max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Any bytes result in a table or an InputError."""
    with contextlib.suppress(InputError):
        assert read_table(data).values_TC.ndim == 2


def test_chosen_columns() -> None:
    """Only chosen columns are read; others may hold text."""
    table = read_table(b"date,b,note,a\n2020-01-01,1,x,\n2020-01-02,3,y,4\n", lambda names: (1, 3))
    assert table.columns == ("b", "a")
    np.testing.assert_array_equal(table.values_TC, [[1, np.nan], [3, 4]])
    with pytest.raises(InputError, match="expected a table of numbers"):
        read_table(b"a,b\n1,2\n3\n", lambda names: (0, 1))


def test_source_is_not_changed() -> None:
    """The result doesn't share memory with the source."""
    values_TC = VALUES_TC.copy()
    read_table(values_TC).values_TC[:] = 0
    np.testing.assert_array_equal(values_TC, VALUES_TC)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("none.csv", "no such file"),
        (b"", "empty"),
        (b"# nothing\n\n", "empty table"),
        (b"ax,ay,az\n", "empty table"),
        (b"ax,ay\n1,2\n3,four\n", "'four'.*row 1"),
        (b"ax,ay\n1,2\n3\n", "number of columns changed"),
        (b"ax,ay,az\n1,2\n", "3 names for 2 columns"),
        (b"\x89PNG\r\n\x1a\n", "other data"),
        (saved(VALUES_TC)[:-8], "broken or truncated"),
        (saved(np.zeros((2, 2, 2))), r"expected \(T, C\)"),
        (saved(VALUES_TC, more=VALUES_TC), "expected one array"),
        (np.zeros((0, 6)), "empty table"),
        (np.array([["a", "b"]]), "expected float or integer"),
        (7, "found int"),
    ],
)
def test_bad_tables(source: object, message: str) -> None:
    """Each error names what was found and what was expected."""
    with pytest.raises(InputError, match=message):
        read_table(source)


def test_pickles_are_refused(tmp_path: Path) -> None:
    """An array of objects, which could run code, is refused."""
    path = tmp_path / "objects.npy"
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="allow_pickle"):
        read_table(path)


@pytest.mark.parametrize(
    "data",
    [
        b"," * 3_000,
        b"1 " * 3_000,
        b"a,b\n1,2\n" + b"1," * 3_000,
        b"1,2,3,4,5,6\x0c" * 3_000,
        "1,2,3,4,5,6\u2028".encode() * 3_000,
    ],
)
def test_too_many_columns(data: bytes) -> None:
    """Columns are counted before anything is parsed; only line ends end a line."""
    with pytest.raises(LimitError) as caught:
        read_table(data)
    assert caught.value.limit == "columns"


def test_too_many_rows_and_cells() -> None:
    """Rows and cells are limited too."""
    data = b"1,2,3\n" * 10
    for limit in ("rows", "cells"):
        with LIBRARY.changed(**{limit: 9}).applied(), pytest.raises(LimitError) as caught:
            read_table(data)
        assert caught.value.limit == limit


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends(end: str) -> None:
    """Lines of all systems, with and without empty cells."""
    table = read_table(end.join(["a,b", "1,2", ",4", "5, ", ""]).encode())
    np.testing.assert_array_equal(table.values_TC, [[1, 2], [np.nan, 4], [5, np.nan]])
