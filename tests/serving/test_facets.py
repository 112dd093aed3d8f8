"""What an index can be filtered by: every filter finds as many files as it says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import ExifTags, Image

import openbind
from openbind import Index
from openbind.serving.facets import Facets


@pytest.fixture
def photos(starter: openbind.Space, media: Path, tmp_path: Path) -> Index:
    """Two photographs of a camera, one in a folder whose name is a pattern, and a sound."""
    root = tmp_path / "Trips"
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "NIKON CORPORATION", "NIKON D70"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2019:06:14 23:30:00"
    for folder, name in (
        ("50%_o'er", "a.jpg"),
        ("50x_o'er", "b.jpg"),
        ("50%_o'er/deep/er", "c.jpg"),
    ):
        (root / folder).mkdir(parents=True)
        with Image.open(media / "dog.webp") as image:
            made = image.convert("RGB").resize((64 + len(name + folder), 64))
        made.save(root / folder / name, **({} if name == "b.jpg" else {"exif": exif}))
    shutil.copy(media / "rain.ogg", root)
    index = Index.create(tmp_path / "index", starter, [root])
    index.update(starter)
    return index


def test_counts_are_true(photos: Index) -> None:
    """For each value of each property the filter admits the files that were counted."""
    facets = {facet.name: facet.values for facet in Facets(photos).count().data}
    for values in facets.values():
        for value in values:
            assert sum(photos.count_files((), value.where).values()) == value.count, value
    counts = {name: {v.label: v.count for v in values} for name, values in facets.items()}
    assert counts["modality"] == {"image": 3, "audio": 1}
    assert counts["camera"] == {"NIKON D70": 2}
    assert counts["month"]["June"] == 2
    assert counts["year"]["2019"] == 2
    assert counts["folder"] == {
        "Trips": 4,
        "Trips/50%_o'er": 2,
        "Trips/50%_o'er/deep": 1,
        "Trips/50x_o'er": 1,
    }
    assert sum(counts["size"].values()) == 4
    assert sum(counts["duration"].values()) == 1


def test_counted_once(photos: Index, starter: openbind.Space) -> None:
    """Until the rows change."""
    facets = Facets(photos)
    first = facets.count()
    assert facets.count() is first
    (photos.meta.roots[0].path / "rain.ogg").unlink()
    photos.update(starter)
    assert sum(v.count for f in facets.count().data if f.name == "modality" for v in f.values) == 3
