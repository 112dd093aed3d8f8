"""Names and paths load as spaces; an unknown name's error lists the known ones."""

from __future__ import annotations

import dataclasses
import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import openbind
from openbind.catalog import ENTRIES, find, pick_device
from openbind.checkpoints import hub, load_imagebind
from openbind.download import cache_directory
from openbind.model.precision import fastest_dtype


def test_starter_ships() -> None:
    """The starter is in the package."""
    assert (find("starter") / "config.json").is_file()


def test_unknown_name() -> None:
    """A misspelt name's error suggests the nearest; only `hf:` refers to the Hub."""
    with pytest.raises(openbind.UnknownNameError, match="did you mean 'starter'"):
        openbind.load("startr")


def test_missing_path_is_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that doesn't exist yet is no request to the Hub, though it looks like a repository."""

    def fail(*args: object, **kwargs: object) -> Path:
        raise AssertionError("fetched")

    monkeypatch.setattr(hub, "pull", fail)
    with pytest.raises(openbind.UnknownNameError, match="hf:runs/my-sounds") as error:
        openbind.load("runs/my-sounds")
    assert error.value.name == "runs/my-sounds"
    with pytest.raises(openbind.UnknownNameError) as error:
        openbind.load("runs/a/b")
    assert "hf:" not in str(error.value)


def test_file_instead_of_directory(tmp_path: Path) -> None:
    """A text file is not a checkpoint."""
    (tmp_path / "x").write_text("x")
    with pytest.raises(openbind.CheckpointError, match="expected a directory"):
        openbind.load(tmp_path / "x")


def test_directory_that_is_no_space(tmp_path: Path) -> None:
    """An empty directory is of no known format."""
    with pytest.raises(openbind.CheckpointError, match="found no files"):
        openbind.load(tmp_path)


def test_unknown_modality_and_dtype() -> None:
    """Both errors list what is known."""
    with pytest.raises(openbind.UnknownNameError, match="did you mean 'text'"):
        openbind.load("starter", modalities=["txt"])
    with pytest.raises(openbind.UnknownNameError, match="no dtype named 'float8'"):
        openbind.load("starter", dtype="float8")


def test_half_precision_is_near() -> None:
    """bfloat16 gives nearly the same vectors."""
    full = openbind.load("starter", modalities=["text"], device="cpu")
    half = openbind.load("starter", modalities=["text"], device="cpu", dtype="bfloat16")
    assert next(half.towers["text"].parameters()).dtype == torch.bfloat16
    a, b = full.encode("text", ["a dog barks"]), half.encode("text", ["a dog barks"])
    assert float((a * b).sum()) > 0.999


def test_device() -> None:
    """A given device is used; auto picks an available one."""
    assert pick_device("cpu") == "cpu"
    assert pick_device("auto") in ("cpu", "cuda", "mps")


GOLDEN = Path(__file__).parent / "golden" / "imagebind_mini.safetensors"


@pytest.fixture(scope="module")
def official() -> dict[str, torch.Tensor]:
    """An official state dict with the usual heads: the golden model's IMU tower."""
    with safe_open(GOLDEN, "pt") as file:
        return {
            key.removeprefix("state/"): file.get_tensor(key)
            for key in file.keys()  # noqa: SIM118
            if key.startswith("state/") and ".imu." in key
        }


@pytest.fixture
def fetched(
    tmp_path: Path, official: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """The entry imagebind_huge with a small file on a local server."""
    folder = tmp_path / "far"
    folder.mkdir()
    path = folder / "imagebind_huge.pth"
    torch.save(official, path)
    handler = functools.partial(Quiet, directory=str(folder))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("OPENBIND_ACCEPT_LICENSE", raising=False)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        size = path.stat().st_size
        url = f"http://127.0.0.1:{server.server_address[1]}/imagebind_huge.pth"
        entry = dataclasses.replace(ENTRIES["imagebind_huge"], url=url, sizes=(size, size))
        monkeypatch.setitem(ENTRIES, "imagebind_huge", entry)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield path
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


def test_download_needs_consent(
    fetched: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error has URL and license; a variable accepts it; then the file is in the cache."""
    entry = ENTRIES["imagebind_huge"]
    with pytest.raises(openbind.CheckpointError) as refused:
        openbind.load("imagebind_huge")
    for part in (entry.url, "CC-BY-NC-SA", "OPENBIND_ACCEPT_LICENSE=imagebind_huge"):
        assert part in str(refused.value)
    assert not entry.on_disk()
    monkeypatch.setenv("OPENBIND_ACCEPT_LICENSE", "another, imagebind_huge")
    space = openbind.load("imagebind_huge", device="cpu")
    assert (space.name, space.card.license) == ("imagebind_huge", "CC-BY-NC-SA-4.0")
    assert entry.url in capsys.readouterr().err
    monkeypatch.delenv("OPENBIND_ACCEPT_LICENSE")
    fetched.unlink()
    again = openbind.load("imagebind_huge", device="cpu", dtype="float32")
    assert again.modalities == ("imu",)
    assert entry.on_disk()
    assert entry.path() == cache_directory() / "imagebind_huge.pth"


def test_download_of_another_size(fetched: Path) -> None:
    """`accept_license=True` is consent as well; a file of another size is refused."""
    with fetched.open("ab") as file:
        file.write(b"more")
    with pytest.raises(openbind.CheckpointError, match="bytes, found"):
        openbind.load("imagebind_huge", accept_license=True)
    assert not ENTRIES["imagebind_huge"].on_disk()


@pytest.mark.parametrize("extension", ["pth", "safetensors"])
def test_official_file(tmp_path: Path, official: dict[str, torch.Tensor], extension: str) -> None:
    """A path to ImageBind's weights is all that is needed."""
    path = tmp_path / f"weights.{extension}"
    torch.save(official, path) if extension == "pth" else save_file(official, path)
    space = openbind.load(path, device="cpu", dtype="float32")
    series = torch.zeros(1, 6, 2000)
    reference = load_imagebind(official).embed_tensors({"imu": series})["imu"]
    assert torch.equal(space.embed_tensors({"imu": series})["imu"], reference)


def test_auto_precision(tmp_path: Path, official: dict[str, torch.Tensor]) -> None:
    """The stated precision of a space, else the machine's fastest."""
    fast = fastest_dtype("cpu")
    save_file(official, tmp_path / "w.safetensors")
    space = openbind.load(tmp_path / "w.safetensors", device="cpu")
    assert next(space.towers["imu"].parameters()).dtype == fast
    openbind.save(load_imagebind(official), tmp_path / "stated")
    stated = openbind.load(tmp_path / "stated", device="cpu")
    assert next(stated.towers["imu"].parameters()).dtype == torch.float32
    space = load_imagebind(official)
    space.config = dataclasses.replace(space.config, dtype=None)
    openbind.save(space, tmp_path / "unstated")
    unstated = openbind.load(tmp_path / "unstated", device="cpu")
    assert next(unstated.towers["imu"].parameters()).dtype == fast


def test_random_weights() -> None:
    """Initial weights don't depend on the chosen modalities, and need no gradient."""
    one = openbind.load("tiny", weights="random", modalities=["imu"], device="cpu", dtype="float32")
    two = openbind.load(
        "tiny", weights="random", modalities=["depth", "imu"], device="cpu", dtype="float32"
    )
    series = torch.randn(2, 6, 2000, generator=torch.Generator().manual_seed(0))
    a, b = one.embed_tensors({"imu": series})["imu"], two.embed_tensors({"imu": series})["imu"]
    assert torch.equal(a, b)
    assert (a[0] @ a[1]) < 0.99999
    assert two.dim == 256
    assert not any(p.requires_grad for p in two.towers["imu"].parameters())
    assert not two.towers["imu"].training


def test_weights_that_are_not_there() -> None:
    """Architectures have no trained weights; unknown values are errors."""
    with pytest.raises(openbind.CheckpointError, match="no trained weights exist"):
        openbind.load("base")
    with pytest.raises(openbind.UnknownNameError, match="no architecture named 'starter'"):
        openbind.load("starter", weights="random")
    with pytest.raises(openbind.UnknownNameError, match="did you mean 'random'"):
        openbind.load("tiny", weights="randon")  # type: ignore[arg-type]
    with pytest.raises(openbind.UnknownNameError, match="did you mean 'imu'"):
        openbind.load("tiny", weights="random", modalities=["imo"])


def test_entries() -> None:
    """Each entry has a config, a size, and whether it is on disk."""
    assert list(ENTRIES) == ["starter", "imagebind_huge", "base", "tiny"]
    for name, entry in ENTRIES.items():
        assert entry.name == name
        assert entry.config().modalities
    assert ENTRIES["starter"].on_disk()
    assert ENTRIES["starter"].license == openbind.load("starter", modalities=["text"]).card.license
    assert ENTRIES["starter"].size_bytes() > 10e6
    huge = ENTRIES["imagebind_huge"]
    assert (huge.on_disk(), huge.size_bytes()) == (False, 4_803_147_960)
    assert ENTRIES["base"].path() is None
