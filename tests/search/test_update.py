"""Only new and changed content is embedded, deleted files lose their rows, no run loses a row."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

import openbind
from openbind.search import metadata
from openbind.search import update as updating
from openbind.search.columns import Row
from openbind.search.index import Index, default_folder
from openbind.search.update import update
from openbind.search.verify import verify
from openbind.space.decoding import Decoder
from tests.warm import Started, Warm

CHILD = """
import os, signal, sys
import openbind
from openbind.search.index import Index
from openbind.search import update as updating
updating.COMMIT_FILES = 2
index = Index.open(sys.argv[1])
moment = sys.argv[2]  # of a commit of rows when the process is killed: "before", "after", "never"
add = index.table.add

def add_or_die(*given):
    if moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    add(*given)
    if moment == "after":
        os.kill(os.getpid(), signal.SIGKILL)

index.table.add = add_or_die
space = openbind.load("starter", device="cpu")
print("ready", flush=True)
try:
    print(updating.update(index, space).embedded, flush=True)
except openbind.InputError as error:
    sys.exit(str(error))
"""


def vectors(index: Index) -> dict[str, np.ndarray]:
    rows, vectors_KE = index.table.read("true")
    return {f"{r.path}#{r.segment}": v for r, v in zip(rows, vectors_KE, strict=True)}


def start(warm: Warm, index: Index, moment: str = "never") -> Started:
    """Start a process that updates an index, and wait until it does."""
    child = warm.start(CHILD, index.folder, moment)
    child.wait_for("ready\n")
    return child


def test_vectors_are_the_spaces_own(starter: openbind.Space, index: Index, media: Path) -> None:
    """Each file has the vector of `space.encode`; a broken one has a reason."""
    found = vectors(index)
    assert len(found) == 6
    for row in index.table.read("true")[0]:
        expected = starter.encode(row.modality, [media / row.path])[0]
        np.testing.assert_allclose(found[f"{row.path}#0"], expected, atol=2e-5)
    changes = update(index, starter)
    assert [Path(failure.name).name for failure in changes.failures] == ["broken.jpg"]
    assert changes.failures[0].reason


def test_touched_files_are_not_embedded_again(
    starter: openbind.Space, index: Index, media: Path, encoded: list[object]
) -> None:
    """A new modification time changes no vector; the time is stored."""
    status = (media / "0.webp").stat()
    os.utime(media / "0.webp", (status.st_atime, 1_000_000_000))
    changes = update(index, starter)
    assert (changes.embedded, changes.unchanged, changes.moved) == (0, 6, 0)
    assert encoded == []
    (row,) = index.table.read("path = '0.webp'")[0]
    assert row.year == 2001
    assert verify(index).clean


def test_changed_content_is_embedded_with_its_date_restored(
    starter: openbind.Space, index: Index, media: Path, encoded: list[object]
) -> None:
    """Content decides, not the time: a changed file of the same time is embedded."""
    before = vectors(index)
    path = media / "0.webp"
    status = path.stat()
    shutil.copy(media / "1.webp", path)
    path.write_bytes(path.read_bytes() + b"\0")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert update(index, starter).embedded == 1
    assert encoded == [str(path)]
    after = vectors(index)
    assert not np.allclose(after["0.webp#0"], before["0.webp#0"])
    assert len(after) == len(before)
    assert verify(index).clean


def test_moved_files_keep_their_vector(
    starter: openbind.Space, index: Index, media: Path, encoded: list[object]
) -> None:
    """Moved to another folder, renamed, copied: nothing is embedded."""
    before = vectors(index)
    (media / "other").mkdir()
    (media / "0.webp").rename(media / "other" / "zero's.webp")
    shutil.copy(media / "1.webp", media / "one.webp")
    changes = update(index, starter)
    assert (changes.embedded, changes.moved, changes.copied, changes.removed) == (0, 1, 1, 0)
    assert encoded == []
    after = vectors(index)
    np.testing.assert_array_equal(after["other/zero's.webp#0"], before["0.webp#0"])
    np.testing.assert_array_equal(after["one.webp#0"], before["1.webp#0"])
    assert "0.webp#0" not in after
    assert verify(index).clean


def test_one_of_two_copies_moves(starter: openbind.Space, index: Index, media: Path) -> None:
    """Of two equal files that are gone, one has a new path, and the other is removed."""
    shutil.copy(media / "0.webp", media / "zero.webp")
    assert update(index, starter).copied == 1
    (media / "zero.webp").rename(media / "moved.webp")
    (media / "0.webp").unlink()
    changes = update(index, starter)
    assert (changes.embedded, changes.moved, changes.copied, changes.removed) == (0, 1, 0, 1)


def test_names_may_be_exchanged(starter: openbind.Space, index: Index, media: Path) -> None:
    """Content that moves to a path whose content moves on, as logs are rotated."""
    before = vectors(index)
    (media / "1.webp").rename(media / "x")
    (media / "0.webp").rename(media / "1.webp")
    (media / "x").rename(media / "0.webp")
    shutil.copy(media / "0.webp", media / "2.webp")
    update(index, starter)
    after = vectors(index)
    np.testing.assert_allclose(after["0.webp#0"], before["1.webp#0"], atol=2e-5)
    np.testing.assert_allclose(after["1.webp#0"], before["0.webp#0"], atol=2e-5)
    np.testing.assert_allclose(after["2.webp#0"], before["1.webp#0"], atol=2e-5)
    assert verify(index).clean


def test_removed_files_disappear(starter: openbind.Space, index: Index, media: Path) -> None:
    """Their rows and failures are deleted."""
    (media / "0.webp").unlink()
    (media / "broken.jpg").unlink()
    changes = update(index, starter)
    assert (changes.removed, changes.failures) == (1, [])
    assert "0.webp#0" not in vectors(index)
    assert index.info().failed == 0
    assert verify(index).clean


def test_files_break_and_are_mended(starter: openbind.Space, index: Index, media: Path) -> None:
    """A file that breaks loses its rows; a repaired one has rows and no failure."""
    good = (media / "0.webp").read_bytes()
    (media / "0.webp").write_bytes(good[:50])
    shutil.copy(media / "1.webp", media / "broken.jpg")
    changes = update(index, starter)
    assert [Path(failure.name).name for failure in changes.failures] == ["0.webp"]
    assert "0.webp#0" not in vectors(index)
    assert "broken.jpg#0" in vectors(index)
    assert verify(index).clean
    (media / "0.webp").write_bytes(good)
    assert update(index, starter).failures == []
    assert verify(index).clean


def test_missing_root_is_no_empty_root(
    starter: openbind.Space, index: Index, media: Path, tmp_path: Path
) -> None:
    """A drive that isn't mounted loses nothing."""
    extra = tmp_path / "drive"
    extra.mkdir()
    shutil.copy(media / "0.webp", extra)
    index.add([extra])
    update(index, starter)
    extra.rename(tmp_path / "away")
    before = vectors(index)
    with pytest.raises(openbind.InputError, match="mount it"):
        update(index, starter)
    assert vectors(index).keys() == before.keys()


def test_unreadable_folders_lose_nothing(
    starter: openbind.Space, index: Index, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An I/O error in one subfolder keeps its rows and is reported; deleted files elsewhere go."""
    scandir = os.scandir

    def flaky(path: str) -> object:
        if Path(path).name == "deep":
            raise OSError(errno.EIO, "Input/output error", str(path))
        return scandir(path)

    before = vectors(index)
    (media / "0.webp").unlink()
    monkeypatch.setattr(os, "scandir", flaky)
    changes = update(index, starter)
    assert (changes.removed, changes.embedded) == (1, 0)
    assert str(media / "deep") in {failure.name for failure in changes.failures}
    assert vectors(index).keys() == before.keys() - {"0.webp#0"}
    report = verify(index)
    assert report.gone == ()
    assert [Path(path).parent.name for path in report.unreadable] == ["deep", "deep"]
    assert (report.sound, report.clean) == (True, False)
    monkeypatch.undo()
    assert update(index, starter).unchanged == 5
    assert verify(index).clean


def test_an_unreadable_root_loses_nothing(
    starter: openbind.Space, index: Index, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither rows nor the failures of earlier runs."""

    def broken(path: str) -> object:
        raise OSError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", broken)
    changes = update(index, starter)
    assert [failure.name for failure in changes.failures] == [str(media)]
    assert changes.removed == 0
    assert index.info().files == 6
    assert index.info().failed == 1
    assert len(verify(index).unreadable) == 6


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_forbidden_folders_lose_nothing(starter: openbind.Space, index: Index, media: Path) -> None:
    """The same with a folder that the user may not read."""
    (media / "deep").chmod(0)
    try:
        assert update(index, starter).removed == 0
        assert len(verify(index).unreadable) == 2
    finally:
        (media / "deep").chmod(0o755)
    assert verify(index).clean


def test_empty_roots_need_consent(
    starter: openbind.Space, index: Index, media: Path, tmp_path: Path
) -> None:
    """The mount point of a missing drive loses nothing, unless `allow_empty` is given."""
    for path in [*media.glob("*.webp"), *media.glob("*.jpg"), *media.glob("deep/*")]:
        path.rename(tmp_path / path.name)
    with pytest.raises(openbind.InputError, match="has no files now, but 6"):
        update(index, starter)
    assert len(vectors(index)) == 6
    assert update(index, starter, allow_empty=True).removed == 6
    assert vectors(index) == {}
    assert verify(index).clean


def test_changing_file_is_left_for_the_next_run(
    starter: openbind.Space, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that changes while it is embedded is postponed."""
    made = Index.create(default_folder([media]), starter, [media])
    samples = Decoder.samples

    def write_meanwhile(
        decoder: Decoder, modality: str, item: object, *args: Any, **options: Any
    ) -> object:
        yield from samples(decoder, modality, item, *args, **options)
        if item == str(media / "0.webp"):
            shutil.copy(media / "1.webp", media / "0.webp")

    monkeypatch.setattr(Decoder, "samples", write_meanwhile)
    changes = update(made, starter)
    assert changes.postponed == [media / "0.webp"]
    assert "0.webp#0" not in vectors(made)
    monkeypatch.undo()
    assert update(made, starter).postponed == []
    found = vectors(made)
    np.testing.assert_allclose(found["0.webp#0"], found["1.webp#0"], atol=2e-5)
    assert verify(made).clean


def test_long_recordings_have_a_row_per_segment(
    starter: openbind.Space, media: Path, samples: Path, encoded: list[object]
) -> None:
    """In half a minute with a bark at the end, the last of three segments is the best.

    The file is opened once for all of them.
    """
    bark, rate = soundfile.read(next((samples / "sounds").glob("*dog*")), always_2d=True)
    sound = np.zeros((30 * rate, bark.shape[1]))
    sound[: 20 * rate] = np.random.default_rng(0).normal(0, 0.01, (20 * rate, bark.shape[1]))
    sound[22 * rate : 22 * rate + len(bark)] = bark
    soundfile.write(media / "long.wav", sound, rate)
    made = Index.create(default_folder([media]), starter, [media])
    update(made, starter)
    assert encoded.count(str(media / "long.wav")) == 1
    rows, vectors_KE = made.table.read("path = 'long.wav'")
    spans = sorted((row.start_s, row.end_s) for row in rows)
    np.testing.assert_allclose(spans, [(0, 10), (10, 20), (20, 30)], atol=0.01)
    assert {row.segments for row in rows} == {3}
    (kind,) = {row.modality for row in rows}
    whole = starter.encode(kind, [(sound[20 * rate :].T, rate)])[0]
    last = next(v for row, v in zip(rows, vectors_KE, strict=True) if row.segment == 2)
    np.testing.assert_allclose(last, whole, atol=1e-3)
    hits = made.search(last, 5, where="path = 'long.wav'")
    assert [(hit.start_s, hit.end_s) for hit in hits] == [(20.0, 30.0)]
    assert verify(made).clean
    (media / "long.wav").rename(media / "moved.wav")
    assert update(made, starter).moved == 1
    assert verify(made).clean


def test_type_overrides(starter: openbind.Space, media: Path, tmp_path: Path) -> None:
    """A type override changes the modality of files, now or later."""
    metres_HW = np.random.default_rng(0).uniform(1, 9, (48, 64))
    Image.fromarray((1000 * metres_HW).astype(np.uint16)).save(media / "deep" / "scan.png")
    made = Index.create(tmp_path / "index", starter, [media], type_overrides={"*.webp": "thermal"})
    update(made, starter)
    assert made.info().by_modality == {"image": 1, "audio": 2, "thermal": 4}
    made.add([], {"deep/*.png": "depth", "0.webp": "depth"})
    changes = update(made, starter)
    assert changes.embedded == 1
    assert ["in color" in failure.reason for failure in changes.failures[1:]] == [True]
    assert made.info().by_modality == {"audio": 2, "depth": 1, "thermal": 3}
    assert verify(made).clean


@pytest.mark.slow
def test_killed_runs_continue(starter: openbind.Space, media: Path, warm: Warm) -> None:
    """SIGKILL around each commit: committed files are complete, the next run embeds the rest."""
    made = Index.create(default_folder([media]), starter, [media])
    kept = 0
    for moment, commits in (("before", 0), ("after", 1), ("before", 0), ("after", 1)):
        died = start(warm, made, moment).wait()
        assert died.returncode == -signal.SIGKILL, died.stderr
        report = verify(made)
        assert report.sound
        assert not report.stale
        assert not report.gone
        assert len(vectors(made)) >= kept + commits
        kept = len(vectors(made))
    assert kept < 6
    assert update(made, starter).embedded == 6 - kept
    assert len(vectors(made)) == 6
    assert verify(made).clean


@pytest.mark.slow
def test_two_processes_at_once(starter: openbind.Space, media: Path, warm: Warm) -> None:
    """One is refused, or finds nothing to do; no row is duplicated."""
    made = Index.create(default_folder([media]), starter, [media])
    ended = [child.wait() for child in [start(warm, made), start(warm, made)]]
    assert 0 in [each.returncode for each in ended]
    for each in ended:
        assert each.returncode == 0 or "another process is updating it" in each.stderr
    assert len(vectors(made)) == 6
    assert verify(made).clean


def test_one_writer_at_a_time(starter: openbind.Space, index: Index) -> None:
    """While one writes, others are refused and readers continue."""
    with index.writing():
        with pytest.raises(openbind.InputError, match="another process is updating"):
            update(Index.open(index.folder), starter)
        assert Index.open(index.folder).info().files == 6
    update(index, starter)


def test_full_disk(starter: openbind.Space, media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An update that can't write fails; committed files are complete, the next run continues."""
    import resource

    made = Index.create(default_folder([media]), starter, [media])
    monkeypatch.setattr(updating, "COMMIT_FILES", 2)
    rows_written = made.table.add
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def add_then_fill(*given: object) -> None:
        rows_written(*given)  # type: ignore[arg-type]
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))

    monkeypatch.setattr(made.table, "add", add_then_fill)
    try:
        with pytest.raises(OSError, match=r"the index can't be written.*index update"):
            update(made, starter)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    monkeypatch.undo()
    kept = len(vectors(made))
    assert kept >= 2
    assert verify(made).sound
    assert update(Index.open(made.folder), starter).embedded == 6 - kept
    assert verify(made).clean


def test_other_spaces_are_refused(index: Index) -> None:
    """Vectors of two spaces are never mixed; the message names both."""
    other = openbind.load("tiny", weights="random", device="cpu")
    with pytest.raises(openbind.InputError, match=r"'starter'.*not of 'tiny'.*can't be compared"):
        update(index, other)


def depth_map(path: Path) -> None:
    """Write a 16-bit PNG of a slope."""
    path.parent.mkdir(exist_ok=True)
    slope_HW = np.linspace(500, 20_000, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(slope_HW).save(path)


def test_types_have_settings(starter: openbind.Space, tmp_path: Path) -> None:
    """Equal files of two patterns are read in two units; a new unit embeds them again."""
    media = tmp_path / "maps"
    media.mkdir()
    for name in ("kitti/1.png", "tum/1.png", "tum/2.png"):
        depth_map(media / name)
    types = {"kitti/*": "depth(units=kitti)", "tum/*": "depth(units=5000)"}
    index = Index.create(tmp_path / "ix", starter, [media], type_overrides=types)
    assert update(index, starter).embedded == 3
    found = vectors(index)
    for units, name in ((256, "kitti/1.png"), (5000, "tum/1.png"), (5000, "tum/2.png")):
        expected = starter.with_settings("depth", units=units).encode("depth", media / name)
        np.testing.assert_allclose(found[f"{name}#0"], expected, atol=1e-5)
    assert verify(index).clean
    assert index.info().type_overrides == types
    index.add([], {"tum/*": "depth(units=256)"})
    assert verify(index).stale == (str(media / "tum/1.png"), str(media / "tum/2.png"))
    changes = update(index, starter)
    assert (changes.embedded, changes.unchanged) == (2, 1)
    expected = found["kitti/1.png#0"]
    np.testing.assert_allclose(vectors(index)["tum/1.png#0"], expected, atol=1e-5)
    assert verify(index).clean


def test_names_that_are_not_utf8(starter: openbind.Space, index: Index, media: Path) -> None:
    """They differ from the text that stands for their bytes, and every hit has its file."""
    odd = Path(os.fsdecode(os.fsencode(media) + b"/bad\xff.jpg"))
    plain = media / r"bad\udcff.jpg"
    shutil.copy(media / "1.webp", odd)
    Image.new("RGB", (30, 30), "red").save(plain, "JPEG")
    update(index, starter)
    assert verify(index).clean
    hits = {hit.path for hit in index.search(starter.encode("text", "red"), 20)}
    assert {odd, plain} <= hits
    assert all(path.exists() for path in hits)


def test_dates_beyond_dates(
    starter: openbind.Space, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of the year 0 or 10000 have the nearest date there is."""
    for seconds, year in ((253_402_300_800.0, 9999), (-62_135_596_801.0, 1)):
        given = partial(metadata.date_of, seconds)
        with monkeypatch.context() as patch:
            patch.setattr(metadata, "date_of", lambda _, given=given: given())
            index = Index.create(tmp_path / str(year), starter, [media])
            assert update(index, starter).embedded == 6
        assert {hit.year for hit in index.search(starter.encode("text", "a"), 9)} == {year}
        assert verify(index).sound


def test_a_poisoned_vector(
    starter: openbind.Space, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is never kept; its file is named and the others are indexed."""
    compute = starter._unit_clips

    def poison(modality: str, clips: torch.Tensor) -> torch.Tensor:
        rows_BE = compute(modality, clips)
        return rows_BE * torch.nan if modality == "audio" else rows_BE

    monkeypatch.setattr(starter, "_unit_clips", poison)
    index = Index.create(tmp_path / "ix", starter, [media])
    changes = update(index, starter)
    assert changes.embedded == 4
    failed = {Path(failure.name).name for failure in changes.failures}
    assert failed == {"0.ogg", "1.ogg", "broken.jpg"}
    assert np.isfinite(np.stack(list(vectors(index).values()))).all()


def test_copies_read_one_file(
    starter: openbind.Space, index: Index, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many files have the same content, the rows of one are read to copy its vectors."""
    read: list[int] = []
    original = index.table.read

    def note(where: str) -> tuple[list[Row], np.ndarray]:
        rows, vectors_KE = original(where)
        read.append(len(rows))
        return rows, vectors_KE

    monkeypatch.setattr(updating, "COMMIT_FILES", 4)
    monkeypatch.setattr(index.table, "read", note)
    for number in range(12):
        shutil.copy(media / "0.webp", media / f"copy {number}.webp")
    assert update(index, starter).copied == 12
    assert read[-2:] == [1, 1]
    assert verify(index).clean
