"""`openbind index`: created, updated, verified and exported from the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import openbind

Run = Callable[..., tuple[int, str, str]]


def test_all_actions(run: Run, media: Path, tmp_path: Path) -> None:
    """create, search, update, add, remove, info, verify, export."""
    code, out, _ = run("index", "create", media)
    assert (code, "6 embedded" in out) == (0, True)
    code, out, _ = run("search", "--index", media, "--text", "a rooster", "-k", 2)
    assert code == 0
    assert "rooster." in out.splitlines()[0]
    shutil.copy(media / "dog.webp", media / "dog again.webp")
    assert "1 copied" in run("index", "update", media)[1]
    more = tmp_path / "more"
    more.mkdir()
    shutil.copy(next(media.glob("rain.[!o]*")), more)
    assert "1 copied" in run("index", "add", media, more)[1]
    info = json.loads(run("index", "info", media, "--json")[1])
    assert info["files"] == 8
    assert info["roots"] == [str(media), str(more)]
    assert "1 rows removed" in run("index", "remove", media, more)[1]
    assert "7 files, 7 rows: clean" in run("index", "verify", media)[1]
    assert run("index", "export", media, "-o", tmp_path / "i.parquet")[0] == 0
    assert pq.read_table(tmp_path / "i.parquet").num_rows == 7
    out = run("index", "info", media)[1]
    assert "space      starter (512 dimensions" in out
    assert "search     exact" in out


def test_search_with_filters(run: Run, media: Path) -> None:
    """By modality and by columns; JSON output."""
    run("index", "create", media)
    code, out, _ = run(
        "search",
        "--index",
        media,
        "--text",
        "rain",
        "--modalities",
        "audio",
        "--where",
        "path LIKE '%rain%'",
        "--json",
    )
    (hit,) = json.loads(out)["results"]
    assert code == 0
    assert Path(hit["path"]).name == "rain.ogg"
    assert (hit["start_s"], round(hit["end_s"])) == (0.0, 5)


def test_filters_that_are_none(run: Run, media: Path) -> None:
    """One line that names the character, no traceback."""
    run("index", "create", media)
    for where, at in (("+".join("1" * 950) + " > 0", 2), ("length(path) > 3", 1), ("year > ?", 8)):
        code, _, err = run("search", "--index", media, "--text", "x", "--where", where)
        assert code == 1
        assert f"at character {at}:" in err
        assert "Traceback" not in err


def test_broken_files_are_named(run: Run, media: Path) -> None:
    """They are listed on stderr with the reason; the rest is indexed."""
    (media / "broken.png").write_bytes(b"no image")
    code, out, err = run("index", "create", media)
    assert code == 0
    assert "skipped" in err
    assert "broken.png" in err
    assert "6 embedded" in out


@pytest.mark.slow
def test_verify_lists_errors(run: Run, media: Path) -> None:
    """Exit code 1 and the file; --repair fixes it."""
    run("index", "create", media)
    (media / "dog.webp").unlink()
    code, out, _ = run("index", "verify", media)
    assert code == 1
    assert f"gone       {media / 'dog.webp'}" in out
    assert run("index", "verify", media, "--json")[0] == 1
    code, out, _ = run("index", "verify", media, "--repair")
    assert code == 0
    assert "5 files, 5 rows: clean" in out


@pytest.mark.slow
def test_created_again(run: Run, media: Path, tmp_path: Path) -> None:
    """The same `create` continues; other folders, overrides or spaces are refused."""
    run("index", "create", media)
    assert (
        "0 embedded, 0 moved, 0 copied, 0 removed, 6 unchanged" in run("index", "create", media)[1]
    )
    more = tmp_path / "more"
    more.mkdir()
    for other in ([media, more], [media, "--type", "depth=*.png"]):
        code, _, err = run("index", "create", *other)
        assert (code, "has an index already, over" in err) == (1, True)
    assert "expected MODALITY=PATTERN" in run("index", "create", more, "--type", "depth")[2]
    tiny = openbind.load("tiny", weights="random", device="cpu")
    openbind.save(tiny, tmp_path / "other")
    err = run("index", "create", media, "--space", tmp_path / "other")[2]
    assert "can't be compared" in err


@pytest.mark.slow
def test_mixing_spaces_is_refused(run: Run, media: Path, tmp_path: Path) -> None:
    """A query of another space is refused."""
    run("index", "create", media)
    other = openbind.load("tiny", weights="random", device="cpu")
    openbind.save(other, tmp_path / "other")
    code, _, err = run("search", "--index", media, "--text", "x", "--space", tmp_path / "other")
    assert code == 1
    assert "vectors of two spaces can't be compared" in err


def test_wrong_command_lines(run: Run, media: Path) -> None:
    """Each message names what is missing."""
    assert "no index here" in run("index", "info", media)[2]
    for option in ("--strict", "--no-cache"):
        assert "not for an index" in run("search", "--index", media, "--text", "x", option)[2]
    assert "give either -o" in run("index", "export", media)[2]
    assert "give either folders and files, or an index" in run("search", "--text", "x")[2]
    assert "folders have no columns" in run("search", media, "--text", "x", "--where", "a")[2]
