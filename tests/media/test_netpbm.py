"""PGM and PPM of 16 bits keep their counts, whatever their largest value is."""

from __future__ import annotations

import io

import numpy as np
import pytest

from openbind.errors import InputError, LimitError
from openbind.media.image import read_image
from openbind.media.maps import read_map
from openbind.media.netpbm import read_deep_netpbm

COUNTS = np.random.default_rng(0).integers(0, 4_096, (5, 7, 3), dtype=np.uint16)


def netpbm(values: np.ndarray, white: int = 4_095, comment: str = "") -> bytes:
    kind = "P6" if values.ndim == 3 else "P5"
    header = f"{kind}\n{comment}{values.shape[1]} {values.shape[0]}\n{white}\n"
    return header.encode() + values.astype(">u2").tobytes()


def test_gray() -> None:
    """A map has the file's counts, an image its share of white."""
    gray = COUNTS[:, :, 0]
    data = netpbm(gray, comment="# a camera\n")
    np.testing.assert_array_equal(read_map(data), gray)
    expected = np.round(gray * (255 / 4_095))
    np.testing.assert_array_equal(np.asarray(read_image(data))[:, :, 2], expected)


def test_color() -> None:
    """Three channels keep 16 bits too; equal ones are one map."""
    image = np.asarray(read_image(netpbm(COUNTS)))
    np.testing.assert_array_equal(image, np.round(COUNTS * (255 / 4_095)))
    gray = COUNTS[:, :, 0]
    np.testing.assert_array_equal(read_map(netpbm(np.dstack([gray] * 3))), gray)


def test_other_files() -> None:
    """8 bits, text and other formats are PIL's."""
    for data in (b"P5 2 2 255\n1234", b"P2 2 2 999\n1 2 3 4", b"P6", b"nothing"):
        assert read_deep_netpbm(io.BytesIO(data), "x") is None


def test_damage() -> None:
    """Truncated and very large files are refused."""
    with pytest.raises(InputError, match="truncated"):
        read_map(netpbm(COUNTS[:, :, 0])[:-1])
    with pytest.raises(LimitError):
        read_map(b"P5 99999 99999 65535\n12")
    with pytest.raises(LimitError):
        read_image(b"P2 4000 4000 255\n1 2 3")
