"""JPEGs: scans are counted without decoding; what is missing is measured, not guessed."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from PIL import Image

from openbind.errors import InputError, LimitError
from openbind.limits import LIBRARY
from openbind.media.image import read_image
from openbind.media.jpeg import count_scans, segments

ROWS, COLUMNS = np.mgrid[:320, :240]
SCENE = np.dstack([ROWS % 256, COLUMNS, (ROWS * COLUMNS) % 256]).astype(np.uint8)


def jpeg(values: np.ndarray = SCENE, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "JPEG", quality=90, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def test_scans() -> None:
    """A sequential JPEG has one scan, PIL's progressive ones have ten."""
    assert count_scans(jpeg()) == 1
    assert count_scans(jpeg(progressive=True)) == 10
    # A thumbnail in a comment or EXIF block doesn't count.
    thumbnail = jpeg(SCENE[:32, :32], progressive=True)
    assert count_scans(jpeg(comment=thumbnail)) == 1


def with_scans(data: bytes, count: int) -> bytes:
    """Repeat the last scan."""
    last = data[data.rfind(b"\xff\xda") : -2]
    return data[:-2] + last * (count - count_scans(data)) + data[-2:]


def test_too_many_scans() -> None:
    """Each scan costs as much as the image; a few bytes make one."""
    data = with_scans(jpeg(progressive=True), 100)
    assert read_image(data).size == (240, 320)
    with pytest.raises(LimitError) as caught:
        read_image(with_scans(data, 101))
    assert (caught.value.limit, caught.value.found) == ("scans", 101)
    with LIBRARY.changed(scans=9).applied(), pytest.raises(LimitError):
        read_image(jpeg(progressive=True))


def test_scans_of_many_pixels() -> None:
    """What counts for a large image is scans times pixels."""
    gray = jpeg(np.zeros((4_000, 4_000), np.uint8), progressive=True)
    assert read_image(gray, min_side=500).size == (500, 500)
    with pytest.raises(InputError, match="scans of 4000 × 4000"):
        read_image(with_scans(gray, 70))


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"optimize": True}])
def test_missing_rows(options: dict[str, object]) -> None:
    """A JPEG that lacks its last rows is used, with a warning; one that lacks more is refused."""
    data = jpeg(**options)
    whole = np.asarray(read_image(data))
    with pytest.warns(UserWarning, match="truncated: found 3.. of 320 rows"):
        found = np.asarray(read_image(data[: int(0.97 * len(data))]))
    np.testing.assert_array_equal(found[:288], whole[:288])
    for fraction in (0.3, 0.6, 0.85):
        with pytest.raises(InputError, match="truncated"):
            read_image(data[: int(fraction * len(data))])


def test_missing_scans() -> None:
    """A progressive JPEG needs all its scans; of the last one, which refines, a part."""
    data = jpeg(progressive=True)
    whole = np.asarray(read_image(data)).astype(int)
    scans = [start for marker, start in segments(data) if marker == 0xDA]
    with pytest.warns(UserWarning, match="truncated"):
        found = np.asarray(read_image(data[: (scans[-1] + len(data)) // 2]))
    assert np.abs(found - whole).mean() < 4
    for start, end in itertools.pairwise(scans):
        for cut in (end - 4, (start + end) // 2):
            with pytest.raises(InputError, match="truncated"):
                read_image(data[:cut])
