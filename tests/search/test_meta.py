"""`index.json` is read back equal, moves with its folder, and is refused when invalid."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

import openbind
from openbind.embedding.overrides import read_as
from openbind.embedding.scan import Summary
from openbind.search.ann import Ann
from openbind.search.index import Index
from openbind.search.meta import (
    Meta,
    file_key,
    read_meta,
    with_root,
    with_type_overrides,
    write_meta,
)


@pytest.fixture
def meta() -> Meta:
    """A description without roots."""
    return Meta(
        space="starter",
        fingerprint="f",
        dtype="float32",
        dim=2,
        identities={"image": "i", "audio": "a"},
        roots=(),
        roots_made=0,
        ann=Ann(kind="IVF_SQ", rows=9, probes=8, recall=0.99),
    )


def test_read_as_written(meta: Meta, tmp_path: Path) -> None:
    """Every field, roots inside and outside, overrides."""
    for name in ("media ü", "other"):
        (tmp_path / name).mkdir()
        meta = with_root(meta, tmp_path / name)
    meta = with_type_overrides(meta, {"scans/*": "image(size=112)"})
    meta = replace(meta, summary=Summary(read={"image": {"jpg": 2}}, others={"": 1}))
    folder = tmp_path / "media ü" / ".openbind"
    folder.mkdir()
    write_meta(folder, meta)
    assert read_meta(folder) == meta
    assert '"path": ".."' in (folder / "index.json").read_text()


def test_overrides_come_before_extensions(meta: Meta) -> None:
    """A later override comes first, and replaces one of the same pattern."""

    def modality_of(meta: Meta, name: str) -> str | None:
        return read_as(name, meta.modalities, meta.type_overrides)[0]

    assert modality_of(meta, "scans/a.wav") == "audio"
    assert modality_of(meta, "scans/a.xyz") is None
    meta = with_type_overrides(meta, {"scans/*": "image"})
    assert modality_of(meta, "scans/deep/a.xyz") == "image"
    assert modality_of(meta, "Scans/a.wav") == "audio"
    meta = with_type_overrides(meta, {"*.xyz": "audio"})
    assert modality_of(meta, "scans/deep/a.xyz") == "audio"
    meta = with_type_overrides(meta, {"scans/*": "audio"})
    assert len(meta.type_overrides) == 2
    assert modality_of(meta, "scans/a.png") == "audio"
    with pytest.raises(openbind.InputError, match="not a modality of starter; it has image, audio"):
        with_type_overrides(meta, {"*": "smell"})


def test_keys_of_files() -> None:
    """Each root and path has its own key, always the same."""
    assert file_key(0, "a/b") == file_key(0, "a/b")
    assert len({file_key(0, "a/b"), file_key(1, "a/b"), file_key(0, "a/c")}) == 3


@pytest.mark.parametrize(
    "text",
    ["", "{", "{}", '{"format": 99}', '{"format": 1}', "[" * 100_000, "[1]", '{"format": 4}'],
)
def test_broken_meta(index: Index, text: str) -> None:
    """Invalid content is refused."""
    (index.folder / "index.json").write_text(text)
    with pytest.raises(openbind.InputError, match=r"can't be read|another format"):
        Index.open(index.folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("space", {}),
        ("fingerprint", 5),
        ("identities", [1]),
        ("dim", "x"),
        ("dim", 0),
        ("dim", 7),
        ("roots", [{"number": "0", "path": ".."}]),
        ("roots", [{"number": 0, "path": 5}]),
        ("roots", [5]),
        ("ann", {"probes": 3}),
        ("ann", {"kind": "IVF_SQ", "rows": 9, "probes": 10**9, "recall": 0.99}),
        ("summary", {"read": 5}),
        ("type_overrides", [{"pattern": 1, "modality": "image"}]),
        ("surprise", 1),
    ],
)
def test_wrong_values(index: Index, key: str, value: object) -> None:
    """A value of a wrong type is refused in one line."""
    path = index.folder / "index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(openbind.InputError) as refused:
        Index.open(index.folder)
    assert len(str(refused.value).splitlines()) == 1


def test_a_root_that_is_not_utf8(meta: Meta, tmp_path: Path) -> None:
    """Its bytes are kept."""
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    root.mkdir()
    meta = with_root(meta, root)
    write_meta(tmp_path, meta)
    assert read_meta(tmp_path) == meta
