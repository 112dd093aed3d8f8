"""The copy of an index's rows: equal answers without heavy libraries, never of another state."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import openbind
from openbind.cli.main import main
from openbind.search import snapshot
from openbind.search.index import Index
from openbind.search.query import Term, embed_terms, expect_unrelated
from openbind.search.snapshot import SNAPSHOT, describe_index, read_snapshot
from openbind.space.vectors import combine

PROGRAM = """
import sys
from openbind.cli.main import main
code = main(sys.argv[1:])
loaded = {"torch", "lancedb", "pyarrow"} & set(sys.modules)
assert not loaded, loaded
sys.exit(code)
"""


def test_answers_are_equal(starter: openbind.Space, index: Index, media: Path) -> None:
    """Order, scores, deviations and judgement are those of the index; modalities too."""
    terms = [Term("text", "a dog"), Term("text", "rain", -0.5)]
    embedded = embed_terms(starter, terms)
    query_E = combine([(term.item, term.weight) for term in embedded])
    found = read_snapshot(media)
    assert found is not None
    encode = found.open_text()
    assert encode is not None
    np.testing.assert_allclose(encode("a dog"), embedded[0].item, atol=2e-6)
    card, name = found.read_card()
    assert (card.unrelated, name) == (starter.card.unrelated, "starter")
    unrelated = expect_unrelated(card, embedded)
    for top_k, modalities, known in ((9, (), unrelated), (2, (), None), (9, ("audio",), unrelated)):
        hits = index.search(query_E, top_k, modalities=modalities, unrelated=known)
        rows = found.search(query_E, top_k, modalities, known)
        assert [row["path"] for row in rows] == [hit.path for hit in hits]
        for row, hit in zip(rows, hits, strict=True):
            assert row["score"] == pytest.approx(hit.score, abs=1e-5)
            assert row.get("deviations") == pytest.approx(hit.deviations, abs=1e-4)
            assert row.get("close") == hit.close
    described = describe_index(index)
    assert {**found.info, "bytes": 0} == {**json.loads(json.dumps(described)), "bytes": 0}


def test_other_states_are_not_used(starter: openbind.Space, index: Index, media: Path) -> None:
    """A changed table, description, space or file is noticed; an update writes it again."""
    path = index.folder / SNAPSHOT
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert read_snapshot(index.folder) is None
    path.write_bytes(whole)
    assert read_snapshot(index.folder) is not None
    index.table.remove(list(index.table.files())[:1])
    assert read_snapshot(index.folder) is None
    index.update(starter)
    found = read_snapshot(index.folder)
    assert found is not None
    assert len(found.rows) == index.rows
    index.write_meta(index.meta)  # the same description
    assert read_snapshot(index.folder) is not None
    index.add([], {"x*": "depth"})
    assert read_snapshot(index.folder) is None
    assert read_snapshot(media / "deep") is None


def test_moved_with_its_media(index: Index, media: Path, tmp_path: Path) -> None:
    """Paths follow; the order in which files are copied doesn't matter."""
    moved = tmp_path / "moved"
    shutil.copytree(media, moved)
    for place, path in enumerate(sorted(moved.rglob("_versions/*"), reverse=True)):
        os.utime(path, (place, place))
    found = read_snapshot(moved)
    assert found is not None
    assert all(moved in row["path"].parents for row in found.rows)


def test_large_indexes_have_none(
    starter: openbind.Space, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is deleted when there are too many rows."""
    monkeypatch.setattr(snapshot, "MOST_ROWS", 2)
    index.table.remove(list(index.table.files())[:1])
    index.update(starter)
    assert not (index.folder / SNAPSHOT).exists()


def test_without_heavy_libraries(
    index: Index, media: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first answer of a new process; `--dtype` takes the tables, with the same result."""
    query = ["search", "--index", str(media), "--text", "a dog", "--minus", "rain", "--json"]
    command: list[Any] = [sys.executable, "-c", PROGRAM]
    done = subprocess.run([*command, *query], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    info = [*command, "index", "info", str(media)]
    assert subprocess.run(info, capture_output=True, check=False).returncode == 0
    assert main([*query, "--dtype", "float32"]) == 0
    quick, slow = json.loads(done.stdout), json.loads(capsys.readouterr().out)
    assert [row["path"] for row in quick["results"]] == [row["path"] for row in slow["results"]]
    for a, b in zip(quick["results"], slow["results"], strict=True):
        assert (a["score"], a["deviations"]) == pytest.approx(
            (b["score"], b["deviations"]), abs=0.02
        )
