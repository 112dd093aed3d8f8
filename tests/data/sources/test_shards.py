"""Members of tars are read in place and paired by stem; broken shards are reported."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from openbind.data.pairs import Rows
from openbind.data.sources.shards import Shards
from openbind.embedding.items import Member, open_item
from openbind.errors import ConfigError, InputError
from openbind.media.audio import read_audio
from openbind.media.image import read_image

Parts = dict[str, bytes]


def png(width: int = 8) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, 8)).save(buffer, "PNG")
    return buffer.getvalue()


def wav(samples: int = 800) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(samples), 8_000, format="WAV")
    return buffer.getvalue()


def notes(**values: Any) -> bytes:
    return json.dumps(values).encode()


def pack(path: Path, parts: Parts, **options: Any) -> None:
    with tarfile.open(path, "w", **options) as archive:
        for name, data in parts.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def read(
    root: Path, pair: tuple[str, str] = ("image", "audio"), shards: str = "a.tar", **config: Any
) -> Rows:
    found = Shards(shards=shards, **config).read(pair, root)
    return Rows(list(found.rows), tuple(found.excluded))


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_read_in_place(tmp_path: Path, kind: int) -> None:
    """A member's offset and size are right, also with long and non-ASCII names."""
    stems = ["0", "folder/1", "größe" if kind == tarfile.PAX_FORMAT else "2", "x" * 90]
    if kind != tarfile.USTAR_FORMAT:
        stems[3] = "x" * 200
    parts: Parts = {}
    for number, stem in enumerate(stems):
        parts |= {f"{stem}.png": png(9 + number), f"{stem}.wav": wav(900 + number)}
    pack(tmp_path / "a.tar", parts, format=kind)
    rows = read(tmp_path).rows
    assert [row.key for row in rows] == [f"a.tar/{stem}" for stem in stems]
    for number, row in enumerate(rows):
        (image,), (sound,) = row.items["image"], row.items["audio"]
        assert isinstance(image, Member)
        assert open_item(sound) == parts[f"{stems[number]}.wav"]
        assert read_image(open_item(image)).width == 9 + number
        assert read_audio(open_item(sound)).samples_CT.shape == (1, 900 + number)


def test_extensions_say_the_modality(tmp_path: Path) -> None:
    """`<modality>.<extension>` or an extension of one modality; others belong to none."""
    parts = {"1.PNG": png(), "1.depth.png": png(), "1.seg.png": png(), "1.txt": b" a dog\n"}
    pack(tmp_path / "a.tar", parts)
    for pair, expected in {
        ("image", "depth"): [["1.PNG"], ["1.depth.png"]],
        ("depth", "image"): [["1.depth.png"], ["1.PNG"]],
    }.items():
        items = read(tmp_path, pair).rows[0].items
        assert [[m.name for m in items[name]] for name in pair] == expected  # type: ignore[union-attr]
    assert read(tmp_path, ("depth", "text")).rows[0].items["text"] == ("a dog",)


def test_several_members(tmp_path: Path) -> None:
    """Two images of one sample are two items."""
    pack(tmp_path / "a.tar", {"1.jpg": png(), "1.wav": wav(), "1.image.png": png()})
    items = read(tmp_path).rows[0].items
    assert [m.name for m in items["image"]] == ["1.jpg", "1.image.png"]  # type: ignore[union-attr]


def test_columns_map_extensions(tmp_path: Path) -> None:
    """A mapped extension belongs to its modality only; two modalities may share a video."""
    pack(tmp_path / "a.tar", {"1.jpg": png(), "1.png": png(), "1.cam.mp4": b"video"})
    items = read(tmp_path, ("image", "depth"), columns={"depth": ".png"}).rows[0].items
    assert [m.name for m in (*items["image"], *items["depth"])] == ["1.jpg", "1.png"]  # type: ignore[union-attr]
    both = {"image": "cam.mp4", "audio": "cam.mp4"}
    items = read(tmp_path, columns=both).rows[0].items
    assert items["image"] == items["audio"]


def test_notes(tmp_path: Path) -> None:
    """The json's label, split, times and texts; the label of cls where it has none."""
    said = notes(label="dog", split="validation", start=1, end=2.5, text=["a dog", ""], other=[1])
    parts = {"1.json": said, "1.png": png(), "1.wav": wav(), "1.cls": b"7"}
    parts |= {"2.png": png(), "2.wav": wav(), "2.cls": b"7\n", "2.json": notes(label=None)}
    parts |= {"3.png": png(), "3.wav": wav()}
    pack(tmp_path / "a.tar", parts)
    rows = read(tmp_path).rows
    assert [(row.label, row.split, row.span) for row in rows] == [
        ("dog", "val", (1.0, 2.5)),
        ("7", None, None),
        (None, None, None),
    ]
    texts = read(tmp_path, ("image", "text"))
    assert [row.items["text"] for row in texts.rows] == [("a dog",)]
    assert texts.excluded == ("2 samples of a.tar have no text",)


def test_ranges_and_stars(tmp_path: Path) -> None:
    """Both list shards in order; keys contain the shard; brackets are literal."""
    (tmp_path / "set [1]").mkdir()
    for number in range(8, 12):
        path = tmp_path / "set [1]" / f"s-{number:03d}.tar"
        pack(path, {f"{number}.png": png(), f"{number}.wav": wav()})
    for pattern in ("set [1]/s-{008..011}.tar", "set [1]/*.tar", "set [1]/s-0{08..11}*"):
        rows = read(tmp_path, shards=pattern).rows
        assert [row.key for row in rows] == [f"set [1]/s-{n:03d}.tar/{n}" for n in range(8, 12)]
    rows = read(tmp_path, shards=str(tmp_path / "set [1]" / "s-01*.tar")).rows
    assert len(rows) == 2


def test_no_such_shards(tmp_path: Path) -> None:
    """A gap in a range, a pattern that matches nothing, a range that counts down."""
    pack(tmp_path / "s-0.tar", {"1.png": png(), "1.wav": wav()})
    with pytest.raises(InputError, match=r"s-1\.tar: no such file"):
        read(tmp_path, shards="s-{0..1}.tar")
    with pytest.raises(ConfigError, match=r"no file matches 'x\*\.tar'"):
        read(tmp_path, shards="x*.tar")
    with pytest.raises(ConfigError, match=r"\{1\.\.0\} counts down"):
        read(tmp_path, shards="s-{1..0}.tar")


@pytest.mark.parametrize(
    "pattern",
    ["{0..99999999}.tar", "{0..999}" * 9, "{0..9" + "9" * 6000 + "}", f"{{0{'0' * 40}..1}}"],
)
def test_ranges_are_bounded(tmp_path: Path, pattern: str) -> None:
    """They are counted before they are expanded."""
    with pytest.raises(ConfigError, match="at most 100,000"):
        read(tmp_path, shards=pattern)


@pytest.mark.parametrize("metadata", ["[" * 100_000, "1" * 5_000, '{"text": [[[[1]]]]}'])
def test_metadata_of_others(tmp_path: Path, metadata: str) -> None:
    """Deep and long JSON is an error of its shard."""
    pack(tmp_path / "a.tar", {"1.png": png(), "1.json": metadata.encode()})
    with pytest.raises(InputError, match=r"a\.tar") as caught:
        read(tmp_path, pair=("image", "text"), shards="a.tar")
    assert len(str(caught.value)) < 1_000


def test_what_is_no_member(tmp_path: Path) -> None:
    """Folders and hidden files are skipped; links and sparse files are counted."""
    pack(
        tmp_path / "a.tar", {"./1.png": png(), "./1.wav": wav(), "./._1.png": b"x", "README": b"x"}
    )
    with tarfile.open(tmp_path / "a.tar", "a") as archive:
        for name, kind in (("folder", tarfile.DIRTYPE), ("2.png", tarfile.SYMTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "1.png"
            archive.addfile(info)
    rows = read(tmp_path)
    assert [row.key for row in rows.rows] == ["a.tar/1"]
    assert rows.excluded == ("1 members of a.tar are links or sparse files",)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_truncated(tmp_path: Path, share: float) -> None:
    """A shard truncated anywhere is refused."""
    pack(
        tmp_path / "a.tar",
        {f"{i}.{e}": d for i in range(4) for e, d in (("png", png()), ("wav", wav()))},
    )
    data = (tmp_path / "a.tar").read_bytes().rstrip(b"\0")
    (tmp_path / "a.tar").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match=r"a\.tar: (truncated|not a tar)"):
        read(tmp_path)


def test_cut_between_members(tmp_path: Path) -> None:
    """A shard without its end-of-archive mark is truncated, even with all its members."""
    pack(tmp_path / "a.tar", {"1.png": png(), "1.wav": wav()})
    whole = (tmp_path / "a.tar").read_bytes()
    with tarfile.open(tmp_path / "a.tar") as archive:
        last = archive.getmembers()[-1]
    end = last.offset_data + (last.size + 511) // 512 * 512
    (tmp_path / "a.tar").write_bytes(whole[:end])
    with pytest.raises(InputError, match="end-of-archive"):
        read(tmp_path)
    (tmp_path / "a.tar").write_bytes(whole[: end + 512])
    assert len(read(tmp_path).rows) == 1


def test_damaged(tmp_path: Path) -> None:
    """A broken header and a concatenated tar are errors, not the end of the shard."""
    pack(tmp_path / "a.tar", {"1.png": png(), "1.wav": wav()})
    whole = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(whole + whole)
    with pytest.raises(InputError, match="end-of-archive"):
        read(tmp_path)
    second = whole.index(b"1.wav")
    (tmp_path / "a.tar").write_bytes(whole[:second] + b"\xff" * 512 + whole[second + 512 :])
    with pytest.raises(InputError, match="damaged"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (gzip.compress(b"x" * 2_000, mtime=0), "compressed with gzip: "),
        (b"BZh91AY" + b"x" * 2_000, "compressed with bzip2"),
        (b"no tar at all " * 200, "not a tar file"),
        (b"", "empty file"),
    ],
)
def test_not_a_tar(tmp_path: Path, data: bytes, message: str) -> None:
    """Compressed tars and other files are refused with the reason."""
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path)
    assert "a.tar" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("1.json", b"{", r"a\.tar: 1: json: not JSON"),
        ("1.json", b"[1]", r"1: json: expected an object"),
        ("1.json", notes(start=3), r"1: expected start and end or neither"),
        ("1.json", notes(label=["a"]), r"1: expected one label"),
        ("1.json", notes(text=7), r"1: text: expected a text"),
        ("1.txt", b"\xff", r"a\.tar: 1\.txt: not UTF-8"),
        ("1.png", b"x", r"a\.tar: has 1\.png twice"),
    ],
)
def test_bad_parts(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    """The shard and the sample are named."""
    pack(tmp_path / "a.tar", {"1.png": png(), "1.wav": wav()})
    with tarfile.open(tmp_path / "a.tar", "a") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    with pytest.raises(InputError, match=message):
        read(
            tmp_path,
            ("image", "text") if name == "1.txt" or b"text" in data else ("image", "audio"),
        )


def test_no_pairs(tmp_path: Path) -> None:
    """The error lists extensions, and what is missing."""
    pack(tmp_path / "a.tar", {"1.png": png(), "1.snd": b"x", "2.png": png()})
    with pytest.raises(
        ConfigError, match=r"2 samples .* no audio; extensions: png \(2\), snd \(1\)"
    ):
        read(tmp_path)


def test_big_members_stay_unread(tmp_path: Path) -> None:
    """Indexing a shard of a gigabyte is fast: only headers are read."""
    pack(tmp_path / "a.tar", {"1.png": png()})
    size = 1 << 30
    with (tmp_path / "a.tar").open("r+b") as file:
        file.seek(len((tmp_path / "a.tar").read_bytes().rstrip(b"\0")) // 512 * 512 + 512)
        info = tarfile.TarInfo("1.wav")
        info.size = size
        file.write(info.tobuf())
        file.seek(size, io.SEEK_CUR)  # a hole: nothing is written
        file.write(bytes(1_024))
    (sound,) = read(tmp_path).rows[0].items["audio"]
    assert isinstance(sound, Member)
    assert sound.size == size
