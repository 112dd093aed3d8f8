"""`openbind search`: the right files first, queries of several modalities, broken files counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]


def test_search_by_text(run: Run, media: Path) -> None:
    """Text finds the dog among images; a second run returns the same from the cache."""
    code, out, err = run("search", media, "--text", "a dog", "--modalities", "image", "-k", 2)
    assert code == 0
    assert "3 read: 3 image" in err.splitlines()[-1]
    assert len(out.splitlines()) == 2
    assert "dog." in out.splitlines()[0]
    assert run("search", media, "--text", "a dog", "--modalities", "image", "-k", 2)[1] == out


def test_says_when_nothing_is_close(run: Run, media: Path) -> None:
    """Results carry deviations above unrelated files; without a close one stderr says so."""
    chosen = ("search", media, "--modalities", "image,audio", "--text")
    found = json.loads(run(*chosen, "a rooster crowing", "--json")[1])["results"]
    assert found[0]["close"]
    assert "rooster" in found[0]["path"]
    deviations = [hit["deviations"] for hit in found]
    assert deviations == sorted(deviations, reverse=True)
    code, out, err = run(*chosen, "quarterly tax declaration")
    assert (code, len(out.splitlines())) == (0, 6)
    assert "nothing close" in err
    assert "nothing close" not in run(*chosen, "a rooster crowing")[2]


@pytest.mark.slow
def test_search_by_several_terms(run: Run, media: Path) -> None:
    """Terms of several modalities with weights; JSON output."""
    image = next(media.glob("rooster.[!o]*"))
    code, out, _ = run(
        "search",
        media,
        "--image",
        image,
        "--text",
        "a rooster",
        "--weight",
        "0.2",
        "--json",
    )
    found = json.loads(out)
    assert code == 0
    assert found["files"] == 6
    assert Path(found["results"][0]["path"]) == image


@pytest.mark.slow
def test_broken_files_are_skipped_and_counted(run: Run, media: Path) -> None:
    """They are listed on stderr with the reason; --strict makes it a failure."""
    (media / "broken.png").write_bytes(b"no image")
    (media / "empty.wav").touch()
    code, out, err = run("search", media, "--text", "rain")
    assert code == 0
    assert len(out.splitlines()) == 6
    assert "skipped" in err
    assert "broken.png" in err
    assert "6 read: 3 audio (3 OGG), 3 image" in err.splitlines()[-1]
    assert "2 failed to decode" in err.splitlines()[-1]
    found = json.loads(run("search", media, "--text", "rain", "--json")[1])
    assert found["summary"]["skipped"] == {"failed to decode": 2}
    assert run("search", media, "--text", "rain", "--strict")[0] == 1
