"""An index in an object store: a local S3 server stands for it."""

from __future__ import annotations

import shutil
import threading
import time
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import openbind
from openbind.cli.main import main
from openbind.search import bucket as buckets
from openbind.search import table as tables
from openbind.search.bucket import WRITER, Bucket
from openbind.search.index import Index

server = pytest.importorskip("moto.server", reason="moto, a local S3 server, isn't installed")

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A server with the bucket `media`."""
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    request = urllib.request.Request(f"http://{host}:{port}/media", method="PUT")
    urllib.request.urlopen(request).close()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def address(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where to store an index; the settings of the store are in the environment."""
    settings = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(buckets, "REFRESH", timedelta(0))
    return f"s3://media/{tmp_path.name}"


@pytest.fixture
def few(media: Path) -> Path:
    """Two images."""
    shutil.rmtree(media / "deep")
    for path in [media / "broken.jpg", *sorted(media.glob("*.webp"))[2:]]:
        path.unlink()
    return media


def test_all_verbs(
    address: str, few: Path, starter: openbind.Space, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command line creates, updates, searches, verifies and describes it, as a local one."""
    create = ["index", "create", str(few), "--index-dir", address, "--device", "cpu"]
    assert main(create) == 0
    assert f"{address}: 2 embedded" in capsys.readouterr().out
    assert main(create) == 0
    assert "2 unchanged" in capsys.readouterr().out
    assert main(["search", "--index", address, "--text", "a dog", "--device", "cpu"]) == 0
    assert str(few / "0.webp") in capsys.readouterr().out
    assert main(["index", "info", address]) == 0
    assert "files      2" in capsys.readouterr().out
    assert main(["index", "verify", address]) == 0
    local = Index.create(few.with_name("local"), starter, [few])
    local.update(starter)
    query_E = starter.encode("text", "a dog")
    expected = [(hit.id, pytest.approx(hit.score, abs=1e-5)) for hit in local.search(query_E)]
    found = Index.open(address)
    assert [(hit.id, hit.score) for hit in found.search(query_E)] == expected
    assert found.folder is None
    assert found.info().bytes > 2 * 4 * starter.dim


def test_readers_see_the_writers_rows(address: str, few: Path, starter: openbind.Space) -> None:
    """Two that were opened before an update return its rows; a new description, too."""
    index = Index.create(address, starter, [few])
    index.update(starter)
    readers = [Index.open(address) for _ in range(2)]
    query_E = starter.encode("text", "a dog")
    assert [len(reader.search(query_E)) for reader in readers] == [2, 2]
    shutil.copy(few / "0.webp", few / "new.webp")
    (few / "1.webp").unlink()
    changes = index.update(starter)
    assert (changes.copied, changes.removed) == (1, 1)
    for reader in readers:
        names = sorted(hit.path.name for hit in reader.search(query_E))
        assert names == ["0.webp", "new.webp"]
    more = few.with_name("more")
    more.mkdir()
    index.add([more])
    assert all(len(reader.meta.roots) == 2 for reader in readers)


def test_one_writer(address: str, few: Path, starter: openbind.Space) -> None:
    """Of threads that ask at once, one writes; a lease that has ended is free."""
    Index.create(address, starter, [few])
    barrier, refused, outcomes = threading.Barrier(4), threading.Semaphore(0), []

    def write() -> None:
        place = Bucket(address)
        barrier.wait()
        try:
            with place.writing():
                outcomes.append("wrote")
                assert all(refused.acquire(timeout=30) for _ in range(3))
        except openbind.InputError as error:
            outcomes.append(str(error))
            refused.release()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("wrote") == 1
    assert sum("another process is updating it" in outcome for outcome in outcomes) == 3
    leases = Bucket(address)._connect(timedelta(0)).open_table(WRITER)
    leases.update(values={"owner": "killed", "until": time.time() + 60})
    with pytest.raises(openbind.InputError, match="if it was killed, until"):
        Index.open(address).add([])
    leases.update(values={"until": time.time() - 0.1})
    Index.open(address).add([])


def test_a_lost_lease_is_an_error(
    address: str, few: Path, starter: openbind.Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Renewed while it is held; if another got it, the writer is told."""
    monkeypatch.setattr(buckets, "LEASE_SECONDS", 0.8)
    place = Bucket(address)
    Index.create(address, starter, [few])
    with place.writing():
        time.sleep(1.5)
        with pytest.raises(openbind.InputError), Bucket(address).writing():
            pass
    table = place._connect(timedelta(0)).open_table(WRITER)
    with pytest.raises(openbind.InputError, match="lease ended"), place.writing():
        table.update(values={"owner": "another"})
        time.sleep(0.5)


@pytest.mark.slow
def test_versions_are_bounded(
    address: str, few: Path, starter: openbind.Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ten updates few versions are left once readers can't hold them any more."""
    monkeypatch.setattr(tables, "KEPT_VERSIONS", timedelta(milliseconds=1))
    monkeypatch.setattr(buckets, "KEPT_VERSIONS", timedelta(milliseconds=1))
    index = Index.create(address, starter, [few])
    for number in range(10):
        shutil.copy(few / "0.webp", few / f"copy{number}.webp")
        index.update(starter)
    database = Bucket(address)._connect(timedelta(0))
    for name in database.table_names():
        assert len(database.open_table(name).list_versions()) <= 3, name
    assert database.open_table("rows").stats()["fragment_stats"]["num_fragments"] <= 2


def test_addresses() -> None:
    """Other kinds of stores are named, and an address without an index."""
    for wrong in ("ftp://media/x", "s3://", "https://media/x"):
        with pytest.raises(openbind.InputError, match="not an object store"):
            Index.open(wrong)


def test_no_index_there(address: str) -> None:
    """As for a folder."""
    with pytest.raises(openbind.InputError, match="no index here"):
        Index.open(f"{address}-other")
    with pytest.raises(openbind.InputError, match=r"can't be read.*endpoint in the environment"):
        Index.open("s3://no-such-bucket/media")
