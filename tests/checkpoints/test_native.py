"""A saved space loads bit-exactly; anything that doesn't match its config is an error."""

from __future__ import annotations

import json
import math
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import openbind
from openbind.catalog import shipped
from openbind.checkpoints import native
from openbind.cli.main import main


@pytest.fixture
def saved(starter: openbind.Space, tmp_path: Path) -> Path:
    """The starter, saved."""
    openbind.save(starter, tmp_path / "space")
    return tmp_path / "space"


def test_round_trip_is_bit_equal(starter: openbind.Space, saved: Path) -> None:
    """Config, card, vocabulary, weights and vectors are equal."""
    again = openbind.load(saved, device="cpu")
    assert again.config == starter.config
    assert again.card == starter.card
    assert again.fingerprint == starter.fingerprint
    np.testing.assert_array_equal(
        again.encode("text", ["a dog"]), starter.encode("text", ["a dog"])
    )
    readme = (saved / "README.md").read_text()
    assert readme == (shipped("starter") / "README.md").read_text()


def test_saving_again_replaces(starter: openbind.Space, saved: Path) -> None:
    """An existing space is replaced as a whole; no temporary files remain."""
    (saved / "left-over").write_text("old")
    openbind.save(starter, saved)
    assert not (saved / "left-over").exists()
    assert [path.name for path in saved.parent.iterdir() if path.name != "cache"] == ["space"]


def test_other_directories_are_not_touched(starter: openbind.Space, tmp_path: Path) -> None:
    """A directory with other content is refused."""
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(openbind.CheckpointError, match="not a space"):
        openbind.save(starter, tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_only_needed_towers_are_read(saved: Path) -> None:
    """With `modalities` the files of other towers aren't opened."""
    (saved / "vision.safetensors").unlink()
    space = openbind.load(saved, modalities=["text"])
    assert space.modalities == ("text",)
    assert space.encode("text", ["a dog"]).shape == (1, space.dim)
    with pytest.raises(openbind.CheckpointError, match=r"vision\.safetensors: no such file"):
        openbind.load(saved)


def test_weights_can_be_stored_smaller(starter: openbind.Space, tmp_path: Path) -> None:
    """float16 on disk has half the size and nearly the same vectors; bytes stay bytes."""
    native.save(starter, tmp_path / "half", dtype=torch.float16)
    again = openbind.load(tmp_path / "half", modalities=["text"], device="cpu")
    a, b = starter.encode("text", ["a dog"]), again.encode("text", ["a dog"])
    assert float((a * b).sum()) > 0.9999
    size = (tmp_path / "half" / "text.safetensors").stat().st_size
    tower = starter.towers["text"]
    numbers = sum(value.numel() for value in tower.parameters())
    kept = sum(value.numel() for value in tower.buffers() if value.dtype == torch.int8)
    assert kept > numbers
    assert size < 2.1 * numbers + 1.1 * kept


def change_config(folder: Path, change: object) -> None:
    path = folder / "config.json"
    values = json.loads(path.read_text())
    change(values)  # type: ignore[operator]
    path.write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.update(format=99), "expected format 1, found 99"),
        (lambda v: v.update(dimm=3), "unknown key; did you mean 'dim'"),
        (
            lambda v: v.pop("dim"),
            "dim: missing key",
        ),
        (lambda v: v["modalities"]["text"].update(tower="txt"), "no tower named 'txt'"),
        (lambda v: v["towers"]["text"]["config"].update(width=96), "different shape"),
    ],
)
def test_altered_config_is_refused(saved: Path, change: object, message: str) -> None:
    """The error names the changed field."""
    change_config(saved, change)
    with pytest.raises(openbind.CheckpointError, match=message):
        openbind.load(saved, modalities=["text"])


def test_truncated_weights_are_refused(saved: Path) -> None:
    """The error names the truncated file."""
    path = saved / "text.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(openbind.CheckpointError, match=r"text\.safetensors: truncated"):
        openbind.load(saved, modalities=["text"])


WRONG_VALUES = {
    "dim for 512": lambda v: v.update(dim=7),
    "dim": lambda v: v.update(dim=10**12),
    "dtype of a function": lambda v: v.update(dtype="load"),
    "dtype of a class": lambda v: v.update(dtype="Tensor"),
    "dtype of integers": lambda v: v.update(dtype="int8"),
    "name": lambda v: v.update(name="a\nb"),
    "tower's kind": lambda v: v["towers"]["imu"].update(kind="x" * 10**6),
    "steps": lambda v: v["modalities"]["imu"]["settings"].update(steps=10**10),
    "steps below 0": lambda v: v["modalities"]["imu"]["settings"].update(steps=-5),
    "rate_hz": lambda v: v["modalities"]["imu"]["settings"].update(rate_hz=0),
    "large rate_hz": lambda v: v["modalities"]["imu"]["settings"].update(rate_hz=10**9),
    "an integer of digits": lambda v: v["modalities"]["imu"].update(scale=10**400),
    "scale": lambda v: v["modalities"]["imu"].update(scale=math.inf),
    "scale nan": lambda v: v["modalities"]["imu"].update(scale=math.nan),
    "size": lambda v: v["modalities"]["image"]["settings"].update(size=10**6),
    "std": lambda v: v["modalities"]["image"]["settings"].update(std=[0, 0, 0]),
    "mean": lambda v: v["modalities"]["image"]["settings"].update(mean=[math.nan, 0, 0]),
    "stages": lambda v: v["towers"]["vision"]["config"].update(
        stages=v["towers"]["vision"]["config"]["stages"] * 1000
    ),
    "settings": lambda v: v["modalities"]["imu"].update(settings=[1] * 10**5),
    "digests": lambda v: v.update(digests=3),
    "tower": lambda v: v["modalities"]["imu"].update(tower=["imu"]),
}


WRONG_TRUNKS: dict[str, dict[str, float]] = {
    "depth": {"depth": 3_000_000},
    "depth in range": {"depth": 250},
    "width": {"width": 10**9},
    "mlp_ratio": {"mlp_ratio": 1e300},
    "mlp_ratio nan": {"mlp_ratio": math.nan},
    "norm_eps": {"norm_eps": -1},
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The starter's folder, which tests copy."""
    folder = Path(tmp_path_factory.mktemp("native")) / "space"
    shutil.copytree(shipped("starter"), folder)
    return folder


@pytest.mark.parametrize("name", WRONG_VALUES)
def test_values_out_of_range_are_refused(template: Path, name: str) -> None:
    """Before memory is taken or networks are built."""
    shutil.copy(shipped("starter") / "config.json", template)
    change_config(template, WRONG_VALUES[name])
    check_refused(template)


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A space whose tower is a transformer."""
    folder = Path(tmp_path_factory.mktemp("native")) / "transformer"
    openbind.save(openbind.load("tiny", weights="random", modalities=["imu"]), folder)
    return folder


@pytest.mark.parametrize("name", WRONG_TRUNKS)
def test_trunks_out_of_range_are_refused(transformer: Path, name: str) -> None:
    """As other values."""
    kept = (transformer / "config.json").read_bytes()
    openbind.load(transformer, device="cpu")
    change_config(
        transformer, lambda v: v["towers"]["imu"]["config"]["trunk"].update(WRONG_TRUNKS[name])
    )
    check_refused(transformer)
    (transformer / "config.json").write_bytes(kept)


def check_refused(folder: Path) -> None:
    """Check that a space is refused soon, and in a few lines."""
    start = time.process_time()
    with pytest.raises(openbind.CheckpointError) as caught:
        openbind.load(folder, device="cpu")
    assert time.process_time() - start < 20
    assert len(str(caught.value)) < 2_000


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "[]", "{", "\ud800", "1" * 5000]
)
def test_configs_that_are_no_objects(template: Path, text: str) -> None:
    """Deep, broken or other JSON is refused in one line."""
    (template / "config.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(openbind.CheckpointError) as caught:
        openbind.load(template, device="cpu")
    assert "\n" not in str(caught.value)


NAMES = ["../.bashrc", "/etc/passwd", "..", "a/../../b", "a\\b", "C:\\b", "x\n", "config.json"]


def poisoned(folder: Path, change: object) -> Path:
    """A small foreign space with its text tower, beside a file that it names."""
    space = folder / "repository" / "space"
    shutil.copytree(shipped("starter"), space)
    (space.parent / ".bashrc").write_text("touch PWNED")
    change_config(space, change)
    return space


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("where", ["tokenizer", "tower"])
def test_names_stay_in_their_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, where: str
) -> None:
    """Nothing is read or written outside by a name in config.json."""

    def change(values: dict[str, object]) -> None:
        towers, modalities = values["towers"], values["modalities"]
        if where == "tokenizer":
            modalities["text"]["settings"]["tokenizer"] = name  # type: ignore[index]
        else:
            towers[name] = towers.pop("text")  # type: ignore[attr-defined, index]
            modalities["text"]["tower"] = name  # type: ignore[index]

    source = poisoned(tmp_path, change)
    home = tmp_path / "home"
    home.mkdir()
    (home / ".bashrc").write_text("# my own settings")
    monkeypatch.chdir(home)
    assert main(["convert", str(source), "-o", "x", "--modalities", "text"]) == 1
    assert [path.name for path in home.iterdir()] == [".bashrc"]
    assert (home / ".bashrc").read_text() == "# my own settings"


def test_saving_checks_names_again(starter: openbind.Space, tmp_path: Path) -> None:
    """A space that was built, not read, can't write outside either."""
    space = native.load(shipped("starter"), modalities=["text"])
    settings = space.config.modalities["text"].settings
    object.__setattr__(settings, "tokenizer", "../.bashrc")
    with pytest.raises(openbind.CheckpointError, match="plain name"):
        openbind.save(space, tmp_path / "x" / "space")
    assert not list(tmp_path.rglob(".bashrc"))


def test_links_out_of_a_space(tmp_path: Path) -> None:
    """Neither weights nor vocabularies are read through them."""
    for name in ("tokenizer.json", "text.safetensors"):
        source = poisoned(tmp_path / name, lambda values: None)
        outside = tmp_path / f"my-{name}"
        (source / name).rename(outside)
        (source / name).symlink_to(outside)
        with pytest.raises(openbind.CheckpointError, match="link out of its folder"):
            openbind.load(source, modalities=["text"])


def test_vocabularies_that_are_none(template: Path) -> None:
    """A vocabulary that isn't one is named, whether its digest is stored or not."""
    shutil.copy(shipped("starter") / "config.json", template)
    vocabulary = (template / "tokenizer.json").read_bytes()
    (template / "tokenizer.json").write_text("{}")
    try:
        with pytest.raises(openbind.CheckpointError, match=r"tokenizer\.json: damaged"):
            openbind.load(template, modalities=["text"])
        change_config(template, lambda values: values.pop("digests"))
        space = openbind.load(template, modalities=["text"])
        with pytest.raises(openbind.CheckpointError, match=r"tokenizer\.json: not a vocabulary"):
            space.encode("text", ["a dog"])
    finally:
        (template / "tokenizer.json").write_bytes(vocabulary)


def test_flipped_bits_are_found(template: Path) -> None:
    """A changed weight is refused, unless the config stores no digests; others aren't read."""
    shutil.copy(shipped("starter") / "config.json", template)
    path = template / "imu.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(openbind.CheckpointError, match=r"imu\.safetensors: damaged") as caught:
        openbind.load(template, device="cpu")
    assert "delete 'digests'" in caught.value.reason
    openbind.load(template, modalities=["text"], device="cpu")
    change_config(template, lambda values: values.pop("digests"))
    openbind.load(template, modalities=["imu"], device="cpu")


def test_attribution_goes_with_every_copy(saved: Path) -> None:
    """Who made what a space was learned from is in each copy of it."""
    copied = saved / native.ATTRIBUTION
    assert copied.read_bytes() == (shipped("starter") / native.ATTRIBUTION).read_bytes()


def test_every_file_that_matters_has_a_digest() -> None:
    """Of the shipped space: weights and vocabulary, as they are."""
    folder = shipped("starter")
    stored = json.loads((folder / "config.json").read_text())["digests"]
    told = ("config.json", "card.json", "README.md", native.ATTRIBUTION)
    files = [path.name for path in folder.iterdir() if path.name not in told]
    assert stored == native.compute_digests(folder, files)
    assert set(stored) == set(files)


def test_a_full_disk(starter: openbind.Space, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is named, the old space stays, and nothing is left beside it."""

    def fill(state: object, path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(native, "save_file", fill)
    with pytest.raises(openbind.CheckpointError, match="No space left"):
        openbind.save(starter, saved)
    openbind.load(saved, modalities=["text"], device="cpu")
    assert [path.name for path in saved.parent.iterdir() if path.name != "cache"] == ["space"]


def test_recovered_on_loading(saved: Path) -> None:
    """A space whose writer was killed between two renames loads by its name."""
    saved.rename(saved.with_name(".space.openbind-old"))
    assert openbind.load(saved, modalities=["text"], device="cpu").name == "starter"
    assert saved.is_dir()
