"""An index reports its content, finds the nearest files, and refuses invalid queries."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import openbind
from openbind.search.index import Index, default_folder
from openbind.search.meta import file_key
from openbind.search.query import Term, expect_unrelated, rank
from openbind.search.table import DamagedTableError
from openbind.search.update import update


def test_info(starter: openbind.Space, index: Index, media: Path) -> None:
    """Space, roots, counts and size."""
    info = index.info()
    assert (info.space, info.fingerprint, info.dim) == ("starter", starter.fingerprint, 512)
    assert info.roots == (media,)
    assert (info.rows, info.files, info.failed) == (6, 6, 1)
    assert info.by_modality == {"audio": 2, "image": 4}
    assert info.bytes > 6 * 512 * 4
    assert info.ann is None


def test_search_is_numpys(index: Index) -> None:
    """The same order and cosines as a matrix product."""
    rows, vectors_KE = index.table.read("true")
    query_E = np.random.default_rng(0).normal(size=512).astype(np.float32)
    query_E /= np.linalg.norm(query_E)
    hits = index.search(query_E, 4)
    expected = rank(query_E, vectors_KE, [row.modality for row in rows], 4, {})
    assert [hit.id for hit in hits] == [rows[each.row].id for each in expected]
    np.testing.assert_allclose([h.score for h in hits], [e.cosine for e in expected], atol=1e-5)
    assert {(hit.deviations, hit.close) for hit in hits} == {(None, None)}
    assert len(index.search(query_E, 99)) == 6


def test_search_is_calibrated(index: Index, starter: openbind.Space) -> None:
    """The same order, deviations and decisions as of the rows themselves; filters hold."""
    rows, vectors_KE = index.table.read("true")
    query_E = starter.encode("text", ["a dog"])[0]
    unrelated = expect_unrelated(starter.card, [Term("text", query_E)])
    names = [row.modality for row in rows]
    expected = rank(query_E, vectors_KE, names, 4, unrelated)
    hits = index.search(query_E, 4, unrelated=unrelated)
    assert [hit.id for hit in hits] == [rows[each.row].id for each in expected]
    assert [hit.close for hit in hits] == [each.close for each in expected]
    deviations = [each.deviations for each in expected]
    np.testing.assert_allclose([hit.deviations for hit in hits], deviations, atol=1e-3)
    some = index.search(query_E, modalities=["audio"], where="size > 0", unrelated=unrelated)
    assert [hit.modality for hit in some] == ["audio", "audio"]
    assert index.search(query_E, where="year < 1980", unrelated=unrelated) == []


def test_filters(index: Index) -> None:
    """By modality, path and date."""
    query_E = index.vector(index.sample(1, 0)[0][0].id)
    assert {hit.modality for hit in index.search(query_E, modalities=["audio"])} == {"audio"}
    assert len(index.search(query_E, modalities=["audio", "image"])) == 6
    found = index.search(query_E, where="path LIKE 'deep/%' AND year > 2020")
    assert {hit.path.parent.name for hit in found} == {"deep"}
    assert index.search(query_E, where="year < 1980") == []
    assert len(index.search(query_E, modalities=["image"], where="size > 0 OR size = 0")) == 4


def test_filters_as_plain_values(index: Index) -> None:
    """The tree of JSON finds the same as the text."""
    where = {"and": [{"column": "path", "op": "like", "value": "deep/%"}]}
    found = index.search(np.ones(512), where=where)
    assert found == index.search(np.ones(512), where="path like 'deep/%'") != []
    with pytest.raises(openbind.InputError) as caught:
        index.search(np.ones(512), where={"and": [{"column": "path", "op": "~", "value": ""}]})
    assert caught.value.item == "where.and[0].op"


@pytest.mark.parametrize("where", ["yeer > 3", "year > 2020 -- recent", "length(path) > 3"])
def test_wrong_filters(index: Index, where: str) -> None:
    """They are named in an InputError."""
    with pytest.raises(openbind.InputError, match="at character") as caught:
        index.search(np.ones(512), where=where)
    assert caught.value.item == where


def test_filters_stay_below_modalities(index: Index) -> None:
    """A filter can't undo another one."""
    with pytest.raises(openbind.InputError, match="at character 12"):
        index.search(np.ones(512), modalities=["audio"], where="year > 3000) OR (year > 0")
    for where in ("year > 3000 OR year > 0", "false OR true", "not false", "  "):
        found = index.search(np.ones(512), modalities=["audio"], where=where)
        assert {hit.modality for hit in found} == {"audio"}


def test_wrong_queries(index: Index) -> None:
    """Wrong shape, zero or NaN vectors, unknown modalities, invalid counts."""
    for query_E in (np.ones(5), np.zeros(512), np.full(512, np.nan), np.ones((1, 512))):
        with pytest.raises(openbind.InputError, match=r"expected \(512,\) finite numbers"):
            index.search(query_E)
    with pytest.raises(openbind.InputError, match="not a modality of this index"):
        index.search(np.ones(512), modalities=["smell"])
    with pytest.raises(openbind.InputError, match="top_k"):
        index.search(np.ones(512), 0)
    assert len(index.search(np.ones(512), 10**30)) == 6


def test_rows_by_id(index: Index) -> None:
    """A hit's vector finds itself; its thumbnail is a small JPEG; unknown ids are refused."""
    hits, vectors_KE = index.sample(6, 1)
    ids = [hit.id for hit in hits]
    np.testing.assert_array_equal(index.vectors([*ids[::-1], ids[0]])[-2::-1], vectors_KE)
    with pytest.raises(openbind.InputError, match="no such row"):
        index.vectors([ids[0], "nope"])
    for hit, vector_E in zip(hits, vectors_KE, strict=True):
        np.testing.assert_array_equal(index.vector(hit.id), vector_E)
        assert index.hit(hit.id) == hit
        assert index.search(vector_E, 1)[0].path.exists()
        thumbnail = index.thumbnail(hit.id)
        assert thumbnail is not None
        with Image.open(io.BytesIO(thumbnail)) as image:
            assert image.format == "JPEG"
            assert max(image.size) <= 256
    for method in (index.vector, index.hit, index.thumbnail):
        with pytest.raises(openbind.InputError, match="no such row"):
            method("x' OR 'a'='a")


def test_sample_is_repeatable(index: Index) -> None:
    """One seed draws the same rows, none twice, at most all."""
    first, second = (index.sample(3, 7) for _ in range(2))
    assert first[0] == second[0]
    np.testing.assert_array_equal(first[1], second[1])
    assert len({hit.id for hit in index.sample(99, 0)[0]}) == 6


def test_hits_have_metadata(index: Index, media: Path) -> None:
    """Pixels of images, seconds of sounds, size and root of both."""
    hits, _ = index.sample(6, 0)
    for hit in hits:
        assert hit.path.is_file()
        assert hit.root == media
        assert hit.size == hit.path.stat().st_size
        if hit.modality == "image":
            with Image.open(hit.path) as image:
                assert (hit.width, hit.height) == image.size
        else:
            assert hit.duration == pytest.approx(5.0, abs=0.01)
            assert (hit.start_s, hit.end_s) == (0.0, hit.duration)


def test_create_refuses(starter: openbind.Space, index: Index, tmp_path: Path) -> None:
    """An existing index, roots that are not folders, unknown modalities."""
    with pytest.raises(openbind.InputError, match="has an index already"):
        Index.create(index.folder, starter, [tmp_path])
    with pytest.raises(openbind.InputError, match="no such folder"):
        Index.create(tmp_path / "new", starter, [tmp_path / "nowhere"])
    with pytest.raises(openbind.InputError, match="not a modality of starter"):
        Index.create(tmp_path / "new", starter, [tmp_path], type_overrides={"*": "smell"})
    with pytest.raises(openbind.InputError, match="no index here"):
        Index.open(tmp_path / "new")


def test_creation_that_was_killed(starter: openbind.Space, index: Index, media: Path) -> None:
    """A folder without `index.json` is no index, and can become one."""
    (index.folder / "index.json").unlink()
    again = Index.create(index.folder, starter, [media])
    assert again.info().rows == 0
    assert update(again, starter).embedded == 6


def test_roots(starter: openbind.Space, index: Index, media: Path, tmp_path: Path) -> None:
    """Added, refused if they overlap, removed with their rows; numbers are not reused."""
    extra = tmp_path / "extra"
    extra.mkdir()
    shutil.copy(media / "0.webp", extra)
    for overlapping in (media, media / "deep", tmp_path):
        with pytest.raises(openbind.InputError, match="in the index already"):
            index.add([overlapping])
    index.add([extra])
    assert update(index, starter).copied == 1
    assert index.info().roots == (media, extra)
    assert index.remove(extra) == 1
    assert index.info().files == 6
    index.add([extra])
    assert [root.number for root in index.meta.roots] == [0, 2]
    with pytest.raises(openbind.InputError, match="not a root of this index; its roots are"):
        index.remove(tmp_path)


def test_moves_with_its_media(index: Index, media: Path) -> None:
    """An index inside its root is found there, and moves with the root."""
    query_E = index.vector(index.sample(1, 0)[0][0].id)
    before = index.search(query_E, 1)[0]
    media.rename(media.with_name("elsewhere"))
    moved = Index.open(media.with_name("elsewhere"))
    after = moved.search(query_E, 1)[0]
    assert after.id == before.id
    assert after.path.is_file()


def test_spaces(index: Index, starter: openbind.Space) -> None:
    """The index loads its own space, or part of it; another space of the same name is refused."""
    assert index.load_space(device="cpu").fingerprint == starter.fingerprint
    fields = json.loads((index.folder / "index.json").read_text())
    (index.folder / "index.json").write_text(
        json.dumps({**fields, "identities": {**fields["identities"], "text": "0"}})
    )
    with pytest.raises(openbind.InputError, match="vectors of two spaces can't be compared"):
        index.load_space(device="cpu")
    loaded = index.load_space(device="cpu", modalities=["image"])
    assert "text" not in loaded.modalities


def test_open_readers_see_updates(starter: openbind.Space, index: Index, media: Path) -> None:
    """An index that was opened before an update returns its new rows."""
    reader = Index.open(media)
    shutil.copy(media / "0.webp", media / "new.webp")
    update(index, starter)
    assert reader.info().files == 7
    row_id = f"{file_key(0, 'new.webp')}-0"
    assert reader.hit(row_id).path == media / "new.webp"


def test_default_folder(tmp_path: Path) -> None:
    """Hidden in the first root."""
    assert default_folder([tmp_path, "x"]) == tmp_path / ".openbind"


def test_a_damaged_table(starter: openbind.Space, index: Index) -> None:
    """It is one error, whatever is damaged; `reset` starts again with the same roots and types."""
    query_E, meta = starter.encode("text", "a dog"), index.meta
    row_id = index.search(query_E)[0].id
    reads: list[Callable[[Index], object]] = [
        lambda index: index.search(query_E),
        lambda index: index.hit(row_id),
        lambda index: index.vector(row_id),
        lambda index: index.thumbnail(row_id),
        lambda index: index.sample(3, 0),
    ]
    for kind in ("*.manifest", "*.lance"):
        for path in (index.folder / "rows" / "rows.lance").rglob(kind):
            path.write_bytes(b"no table at all" * 20)
        for read in reads:
            with pytest.raises(DamagedTableError):
                read(Index.open(index.folder))
        made = Index.reset(index.folder)
        assert made.meta.roots == meta.roots
        assert made.update(starter).embedded == 6
        assert made.verify().clean
        assert made.search(query_E)
