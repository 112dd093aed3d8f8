"""Arrays of any library become NumPy's with the same values; anything else is an InputError."""

from __future__ import annotations

import contextlib
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from openbind.errors import InputError, LimitError
from openbind.limits import LIBRARY
from openbind.media.arrays import is_array, is_tensor, load_array, looks_like_numpy, to_numpy


def saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_kinds() -> None:
    """Tensors, arrays and other values are recognized."""
    assert is_tensor(torch.zeros(2))
    assert not is_tensor(np.zeros(2))
    assert is_array(torch.zeros(2))
    assert is_array(np.zeros(2))
    assert not any(map(is_array, ([1], "a", b"a", Path("a"), 3)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int16])
def test_tensors(dtype: torch.dtype) -> None:
    """Any type, also types that NumPy lacks, with and without a gradient."""
    tensor = torch.tensor([1, 2, -3]).to(dtype)
    if dtype.is_floating_point:
        tensor.requires_grad_()
    np.testing.assert_array_equal(to_numpy(tensor, "x"), [1, 2, -3])


def test_types_are_kept() -> None:
    """float64 stays float64; memory is shared, not copied."""
    tensor = torch.zeros(3, dtype=torch.float64)
    assert to_numpy(tensor, "x").dtype == np.float64
    array = np.zeros(3, np.int16)
    assert to_numpy(array, "x") is array


@pytest.mark.parametrize("value", [[[1], [2, 3]], ["a"], np.array([None]), np.array([1j])])
def test_refuses_what_isnt_numbers(value: object) -> None:
    """Unequal rows, strings, objects and complex numbers are refused."""
    with pytest.raises(InputError, match=r"^x: "):
        to_numpy(value, "x")


def test_numpy_files(tmp_path: Path) -> None:
    """They are recognized by their first bytes, from paths and streams."""
    data = saved(np.arange(6).reshape(2, 3))
    path = tmp_path / "a.npy"
    path.write_bytes(data)
    for opened in (path, io.BytesIO(data)):
        assert looks_like_numpy(opened)
        np.testing.assert_array_equal(load_array(opened, "x"), np.arange(6).reshape(2, 3))
    assert not looks_like_numpy(io.BytesIO(b"1,2,3"))


@given(st.integers(0, 400), st.integers(0, 255), st.booleans())
def test_damage_escapes_as_nothing_else(place: int, value: int, zipped: bool) -> None:
    """One changed byte results in an array or an InputError."""
    buffer = io.BytesIO()
    (np.savez_compressed if zipped else np.save)(buffer, np.arange(40.0))  # type: ignore[operator]
    data = bytearray(buffer.getvalue())
    data[place % len(data)] = value
    with contextlib.suppress(InputError):
        load_array(io.BytesIO(bytes(data)), "x")


def test_many_threads_at_once() -> None:
    """Files can be read in threads, though Python's parser of headers isn't thread-safe."""
    buffer = io.BytesIO()
    np.save(buffer, np.arange(6.0))
    data = buffer.getvalue()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: load_array(io.BytesIO(data), "x"), range(2_000)))
    assert all(values.tolist() == [0, 1, 2, 3, 4, 5] for values in found)


def test_archive_that_unpacks_to_much() -> None:
    """The uncompressed size is limited before anything is unpacked."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, np.zeros(10_000))
    assert load_array(io.BytesIO(buffer.getvalue()), "x").shape == (10_000,)
    with LIBRARY.changed(bytes=100_000).applied(), pytest.raises(LimitError) as caught:
        load_array(io.BytesIO(buffer.getvalue()), "x")
    assert caught.value.limit == "bytes"
