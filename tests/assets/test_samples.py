"""What ships is complete, unchanged, free to redistribute, and small enough."""

from __future__ import annotations

import hashlib
import zlib
from collections import Counter
from pathlib import Path

import pytest

from openbind.evaluation.samples import SampleItem, read_script
from openbind.media.audio import read_audio
from openbind.media.image import read_image

LICENSES = {
    "MIT",
    "Public domain",
    "CC0-1.0",
    "CC-BY-1.0",
    "CC-BY-2.0",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "Apache-2.0",
    "BSD-3-Clause",
    "MIT and public domain, as the parts",
}
PACKAGE = Path(__file__).parents[2] / "src" / "openbind"


def test_counts(sample_items: list[SampleItem]) -> None:
    """At least 60 images, 40 sounds, 40 captions."""
    counts = Counter(item.modality for item in sample_items)
    assert counts["image"] >= 60
    assert counts["audio"] >= 40
    assert counts["text"] >= 40


def test_table_is_complete(sample_items: list[SampleItem], samples: Path) -> None:
    """Every file has a row and every row its file, with the checksum of the table."""
    listed = {item.path: item.sha256 for item in sample_items if item.path}
    found = {
        str(p.relative_to(samples)): hashlib.sha256(p.read_bytes()).hexdigest()
        for part in ("images", "sounds")
        for p in (samples / part).iterdir()
    }
    assert listed == found


def test_all_may_be_redistributed(sample_items: list[SampleItem]) -> None:
    """Each row has an author, a source, and a license of the list."""
    for item in sample_items:
        assert item.license in LICENSES
        assert item.author
        assert item.source
        assert item.title
        assert item.concept


def test_every_file_opens(sample_items: list[SampleItem], samples: Path) -> None:
    """Images are at least 100 pixels wide or high, sounds last some 5 s."""
    for item in sample_items:
        if item.modality == "image":
            assert max(read_image(samples / item.path).size) > 100
        elif item.modality == "audio":
            assert 0 < read_audio(samples / item.path).seconds <= 5.2


def test_script_names_samples(sample_items: list[SampleItem], samples: Path) -> None:
    """Files that the demo's queries name are in the collection."""
    script = read_script(samples)
    queries = [q for part in script.retrieval for q in part.queries if "/" in q]
    summed = [key for part in script.arithmetic for _, key, _ in part.parts]
    expected = [key for part in script.arithmetic for key in part.expected]
    assert set(summed + expected) <= {item.key for item in sample_items}
    assert all((samples / path).is_file() for path in queries)


@pytest.mark.slow
def test_package_stays_small() -> None:
    """All that ships takes less than 95 MB as a wheel, the samples less than 8."""
    found = [p for p in PACKAGE.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    assert sum(len(zlib.compress(path.read_bytes())) for path in found) < 95e6
    assert sum(path.stat().st_size for path in found if "samples" in path.parts) < 8e6
