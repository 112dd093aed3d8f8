"""Rows as columns are the rows that were written, wherever the data lie."""

from __future__ import annotations

import pickle
from pathlib import Path

from openbind.data.index import RowIndex, open_index
from openbind.data.index_writer import index_rows
from openbind.data.pairs import Row
from openbind.data.table import tabulate
from openbind.embedding.items import Item, Member, StoredFeatures, StoredVector

ROOT = Path("/data/set")
SHARED: tuple[Item, ...] = ("a dog", "a cat")
ITEMS: list[tuple[Item, ...]] = [
    (ROOT / "a.png",),
    (Path("/elsewhere/b.png"), ROOT / "sub" / "c.png"),
    (StoredVector(ROOT / "v.npy", 3),),
    (Member(ROOT / "t.tar", "x/y.png", 512, 99),),
]
ROWS = [
    Row(
        key=f"k{number}",
        items={"image": items, "text": SHARED},
        label="dog" if number else None,
        split="train" if number < 3 else None,
        span=(0.5, 2.0) if number == 2 else None,
        weight=number / 3,
    )
    for number, items in enumerate(ITEMS)
]


def write(tmp_path: Path, rows: list[Row] = ROWS, root: Path = ROOT) -> RowIndex:
    folder = tmp_path / "rows"
    folder.mkdir()
    return index_rows(rows, root, folder, excluded=["one is missing"])


def test_rows(tmp_path: Path) -> None:
    """Rows come back as they were, in memory, mapped, reopened and in another process."""
    written = write(tmp_path)
    again = open_index(tmp_path / "rows", ROOT)
    assert again is not None
    copied = pickle.loads(pickle.dumps(again))
    for index in (index_rows(ROWS, ROOT), written, again, copied):
        assert list(index.rows) == ROWS
        assert [row.key for row in index.rows[1:3]] == ["k1", "k2"]
    assert (again.excluded, copied.excluded) == (("one is missing",), ("one is missing",))
    assert len(pickle.dumps(again)) < 1_000  # another process maps the files
    assert open_index(tmp_path, ROOT) is None


def test_moved(tmp_path: Path) -> None:
    """Items in the data folder move with it, and their names stay."""
    write(tmp_path)
    moved = open_index(tmp_path / "rows", tmp_path)
    assert moved is not None
    assert moved.rows[0].items["image"] == (tmp_path / "a.png",)
    assert moved.rows[1].items["image"] == (Path("/elsewhere/b.png"), tmp_path / "sub" / "c.png")
    before, after = (tabulate(index.rows, "image") for index in (index_rows(ROWS, ROOT), moved))
    assert [anchor.key for anchor in before.anchors] == [anchor.key for anchor in after.anchors]
    assert before.anchors[0].key == "a.png"


def test_features_and_names(tmp_path: Path) -> None:
    """Stored features come back; equal frozen items have one name, at other spans another."""
    features = StoredFeatures(StoredVector(ROOT / "f.npy", 7))
    image = (ROOT / "a.png",)
    spans = [None, None, (0.0, 1.0)]
    rows = [
        Row(key=str(i), items={"image": image, "imu": (features,)}, span=span)
        for i, span in enumerate(spans)
    ]
    index = write(tmp_path, rows)
    assert list(index.rows) == rows
    assert index.names.id_M.tolist() == [0, 0, 1]
    assert index.names.first_M.tolist() == [0, 2]


def test_fingerprint_notices_changed_files_and_spans_alone(tmp_path: Path) -> None:
    """Any changed or missing file counts, that of a member or vector too; its place doesn't."""
    data = tmp_path / "data"
    data.mkdir()
    files = {name: data / name for name in ("a.png", "ä.png", "t.tar", "v.npy")}
    for path in files.values():
        path.write_bytes(b"1")
    items: list[Item] = [files["a.png"], files["ä.png"], "a dog"]
    items += [Member(files["t.tar"], "x.png", 0, 9), StoredVector(files["v.npy"], 2)]

    def of(root: Path, span: tuple[float, float] | None = None) -> bytes:
        rows = [
            Row(key=str(n), items={"image": (item,)}, span=span) for n, item in enumerate(items)
        ]
        return index_rows(rows, root).rows.fingerprint("image")

    first = of(data)
    (tmp_path / "link").symlink_to(data)
    assert first == of(data) == of(tmp_path / "link")
    seen = {first, of(data, (0.0, 1.0))}
    for path in files.values():
        path.write_bytes(b"22")
        seen.add(of(data))
    files["a.png"].unlink()
    seen.add(of(data))
    items[2] = "a cat"
    seen.add(of(data))
    assert len(seen) == 8
