"""CSV, JSON Lines and Parquet have the same records; errors name the line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from openbind.data.sources.records import open_records
from openbind.errors import ConfigError, InputError, MissingExtraError

RECORDS = [
    {"image": "a.png", "text": 'a "big", red\nbus', "split": "train"},
    {"image": "ü.png", "text": "zwei", "split": "val"},
]


def write_parquet(path: Path, records: list[dict[str, Any]], **options: Any) -> Path:
    pq.write_table(pa.Table.from_pylist(records), path, **options)
    return path


def test_formats_agree(tmp_path: Path) -> None:
    """All three have the same records; byte-order marks and empty lines are ignored."""
    table = tmp_path / "a.csv"
    table.write_text(
        '\ufeffimage,text, split\n\na.png,"a ""big"", red\nbus",train\nü.png,zwei,val\n', "utf-8"
    )
    lines = tmp_path / "a.JSONL"
    lines.write_text("\n\n".join(map(json.dumps, RECORDS)))
    columnar = write_parquet(tmp_path / "a.parquet", RECORDS, row_group_size=1)
    for path, numbers in ((table, [4, 5]), (lines, [1, 3]), (columnar, [1, 2])):
        found = open_records(path)
        assert found.columns == ("image", "text", "split")
        for _ in range(2):  # each call reads again
            records = list(found.records(["image", "text", "split"]))
            assert [record for _, record in records] == RECORDS
            assert [line for line, _ in records] == numbers


def test_parquet_reads_what_is_wanted(tmp_path: Path) -> None:
    """Other columns aren't read; a dot in a name is part of it."""
    record = {"image": "a.png", "image.vector": "v.npy#1", "blob": b"x" * 1_000}
    found = open_records(write_parquet(tmp_path / "a.parquet", [record]))
    assert next(iter(found.records(["image.vector"]))) == (1, {"image.vector": "v.npy#1"})


def test_jsonl_columns_are_of_all_lines(tmp_path: Path) -> None:
    """A key in the last line alone is a column."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n{"b": [1, 2]}\n')
    found = open_records(path)
    assert found.columns == ("a", "b")
    assert list(found.records(["a", "b"])) == [(1, {"a": 1}), (2, {"b": [1, 2]})]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"a,b\n1,2\n1,2,3\n", "line 3: .*found 3"),
        ("a.csv", b"a,b\n1\n", "line 2: expected 2 cells"),
        ("a.csv", b"a,a \n1,2\n", "column 'a'"),
        ("a.csv", b'a,b\n1,"2\n', "line 2: not CSV"),
        ("a.csv", b"a,b\n1,\xff\n", "not UTF-8"),
        ("a.jsonl", b'{"a": 1}\n\n{"a": \n', "line 3: not JSON"),
        ("a.jsonl", b"[1]\n", "line 1: expected an object"),
        ("a.jsonl", b'{"a": "\xff"}\n', "line 1: not JSON"),
        ("a.parquet", b"PAR1 and then nothing", "not a Parquet file"),
        ("a.csv", b"", "empty file"),
    ],
)
def test_broken(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    """Errors name the file and the line."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        list(open_records(path).records(["a"]))
    assert name in str(caught.value)


def test_deep_jsonl(tmp_path: Path) -> None:
    """Nesting without end is an error of its line."""
    (tmp_path / "a.jsonl").write_text("{}\n" + "[" * 100_000)
    with pytest.raises(InputError, match="line 2: not JSON"):
        open_records(tmp_path / "a.jsonl")


def test_truncated_parquet(tmp_path: Path) -> None:
    """A damaged column is found when it is read."""
    path = write_parquet(tmp_path / "a.parquet", [{"a": "x" * 50_000 + str(i)} for i in range(9)])
    data = bytearray(path.read_bytes())
    data[4:2_000] = b"\xff" * 1_996
    path.write_bytes(data)
    with pytest.raises(InputError, match="broken after row 0"):
        list(open_records(path).records(["a"]))


def test_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown extension, missing file, missing pyarrow."""
    with pytest.raises(ConfigError, match=r"\.csv, \.jsonl, \.parquet"):
        open_records(tmp_path / "a.tsv")
    with pytest.raises(InputError, match="no such file"):
        open_records(tmp_path / "a.csv")
    path = write_parquet(tmp_path / "a.parquet", RECORDS)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"openbind\[parquet\]"):
        open_records(path)


def test_parquet_of_other_encodings(tmp_path: Path) -> None:
    """Cells and columns that aren't UTF-8 are errors of the file."""
    cells = pa.Array.from_buffers(pa.string(), 1, pa.array([b"a\xff"], pa.binary()).buffers())
    pq.write_table(pa.table({"image": cells}), tmp_path / "cells.parquet")
    table = open_records(tmp_path / "cells.parquet")
    with pytest.raises(InputError, match="broken after row 0"):
        list(table.records(["image"]))
    pq.write_table(pa.table({"image": ["a"]}), tmp_path / "names.parquet")
    content = (tmp_path / "names.parquet").read_bytes().replace(b"image", b"imag\xff")
    (tmp_path / "names.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"names\.parquet"):
        open_records(tmp_path / "names.parquet")
